"""The forwarder: reads the log by cursor and hands sealed batches to the sinks."""

"""Project sinks: the rules, secrets and changes of the sinks that projects deploy."""

"""Third-party sinks, each in a supervised process of its own.

`python -m headgate_service.delivery.plugin_worker` is such a process; the other modules are the forwarder's side of it.
"""

"""A child of `headgate up`: `python -m headgate_cli.run.supervised NAME`, with what it runs by on its standard input.

It does not load the command line, which takes a child 0.15 s and 10 MB, and is of no use to it.
"""

import os
import sys

from headgate_cli.run.data_dir import DataDir
from headgate_cli.run.logs import write_logs
from headgate_cli.run.parent import take_handover
from headgate_cli.run.processes import Place, run_forwarder, run_gateway, run_service, run_store
from headgate_cli.settings.reader import SettingsInvalid


def main(name: str) -> None:
    """Run the child of that name until it is asked to end, or its parent is gone."""
    write_logs(name)
    handed = take_handover()
    place = Place(DataDir(handed.data_dir), supervised=True)
    try:
        match name:
            case "service":
                run_service(handed.settings, place)
            case "store":
                run_store(handed.settings, place)
            case "gateway":
                run_gateway(handed.settings, place)
            case "forwarder":
                run_forwarder(handed.settings, place, dict(os.environ))
            case _:
                raise SystemExit(f"headgate: there is no process {name!r}")
    except SettingsInvalid as error:
        raise SystemExit(f"headgate: {error}") from None


if __name__ == "__main__":
    main(sys.argv[1])

"""The command line: ``synth VERB ...``; one small module per verb, and here what they all share.

Exit codes: 0 done, 1 failed at run time, 2 usage or configuration, 130 interrupted. Data goes to stdout,
everything else to stderr. Modules in here import nothing heavy at the top: ``synth --help`` must stay fast.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from synth.errors import SynthError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return the exit code. Errors are told on stderr."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has left, as `head` does. Python would flush, and fail, once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SynthError as error:
        _report(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _report("interrupted")
        return 130
    except Exception as error:
        # The last resort: a fault in synth or below it, and not something the user did.
        hint = "" if _debugging() else " (SYNTH_DEBUG=1 shows where)"
        _report(f"{type(error).__name__}: {error}{hint}")
        return 1
    return code


def _run(arguments: Sequence[str] | None) -> int:
    import typer

    from synth.cli.app import app

    words = sys.argv[1:] if arguments is None else list(arguments)
    command = typer.main.get_command(app)
    try:
        code = command.main(args=words or ["--help"], prog_name="synth", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f"\nSee: {context.command_path} --help" if context else ""
        _report(f"{error.format_message()}{hint}")
        return error.exit_code
    except typer.Abort:  # Ctrl-C or the end of input at a question
        raise KeyboardInterrupt from None
    if code == 130:
        raise KeyboardInterrupt
    return int(code or 0)


def _report(message: str) -> None:
    if _debugging() and sys.exc_info()[0] is not None:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)


def _debugging() -> bool:
    return os.environ.get("SYNTH_DEBUG", "") not in ("", "0")

"""The arguments of every command."""

import argparse
from typing import Final

from voice_cloning_client.audio import FORMATS
from voice_cloning_client.cli import job_commands, speech_commands, voice_commands
from voice_cloning_client.settings import DEFAULT_URL, KEY, KEY_FILE, URL

_EPILOG: Final = f"""\
environment:
  {URL}   address of the service; default {DEFAULT_URL}
  {KEY}       API key, if the service requires one
  {KEY_FILE}  instead: a file that holds it

exit codes: 0 done, 1 refused or failed, 2 wrong arguments or files, 3 no response,
  4 incomplete audio, 5 overloaded, 130 interrupted, 143 terminated
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser; the parsed options have the coroutine function `command`."""
    main = argparse.ArgumentParser(
        prog="voice-cloning",
        description="Text to speech in the voice of a recording.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(title="commands", metavar="COMMAND", required=True)

    _add_speech(commands)
    _add_jobs(commands)
    _add_voices(commands)

    provenance = commands.add_parser(
        "provenance", help="show where a recording comes from, as JSON"
    )
    provenance.add_argument("file", help="a recording, or a part of one")
    provenance.add_argument("--until", default="", help="only sentences spoken before this time")
    provenance.set_defaults(command=speech_commands.provenance)
    _add_access(provenance)

    languages = commands.add_parser("languages", help="list the supported languages")
    languages.set_defaults(command=speech_commands.languages)
    _add_access(languages)
    return main


def _add_access(command: argparse.ArgumentParser) -> None:
    command.add_argument("--server", metavar="URL", help=f"address of the service (else {URL})")
    command.add_argument(
        "--api-key-file", metavar="FILE", help=f"file with the API key (else {KEY} or {KEY_FILE})"
    )
    command.add_argument(
        "--timeout",
        type=_seconds,
        metavar="S",
        help="seconds to the first audio (default 300), or to the end of a job (default: no limit)",
    )
    command.add_argument("--quiet", action="store_true", help="show no progress")


def _add_text(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "text", help="the text; - reads it from stdin; put -- before a text that begins with -"
    )
    command.add_argument("--voice", default="", help="name or id of a voice")
    command.add_argument("--language", default="", help="language of the text, or auto")
    command.add_argument(
        "--clip",
        action="append",
        default=[],
        metavar="FILE",
        help="recording of the speaker, instead of --voice; up to eight times",
    )
    command.add_argument("--seed", type=_seed, help="equal seeds produce equal audio")
    command.add_argument("--speed", type=float, help="2 is twice as fast")
    command.add_argument("--ssml", action="store_true", help="the text is SSML")


def _add_format(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", choices=list(FORMATS), help="default: by the file's extension")
    command.add_argument("--sample-rate", type=int, metavar="HZ", help="default: the engine's")


def _add_nats(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("over NATS, without HTTP (needs the extra [nats])")
    group.add_argument(
        "--nats", metavar="URL", help="address of NATS, such as nats://localhost:4222"
    )
    group.add_argument("--tenant", help="the tenant; default public")
    group.add_argument("--engine", default="", help="default: the running one")
    group.add_argument(
        "--nkey-seed-file", default="", metavar="FILE", help="credentials of the tenant"
    )
    group.add_argument("--ca-file", default="", metavar="FILE", help="certificate of the server")


def _add_speech(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    speak = commands.add_parser("speak", help="synthesize a text to a file")
    speak.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the audio file; - is stdout"
    )
    speak.set_defaults(command=speech_commands.speak)

    stream = commands.add_parser("stream", help="synthesize a text to stdout, as it arrives")
    stream.set_defaults(command=speech_commands.speak, output="-")

    for command in (speak, stream):
        _add_text(command)
        _add_format(command)
        _add_nats(command)
        _add_access(command)


def _add_jobs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    jobs = commands.add_parser("jobs", help="long texts, synthesized in the background")
    actions = jobs.add_subparsers(title="commands", metavar="COMMAND", required=True)

    submit = actions.add_parser("submit", help="submit a text; writes the job's id to stdout")
    _add_text(submit)
    submit.add_argument("--title", default="", help="shown in the list of jobs")
    submit.set_defaults(command=job_commands.submit)

    listing = actions.add_parser("list", help="list the jobs, newest first")
    listing.add_argument(
        "--state",
        default="",
        help="only jobs in this state, or in one of several with commas between",
    )
    listing.set_defaults(command=job_commands.list_jobs)

    wait = actions.add_parser("wait", help="wait until a job is done")
    wait.set_defaults(command=job_commands.wait)

    get = actions.add_parser("get", help="wait for a job and download its audio")
    get.add_argument("-o", "--output", required=True, metavar="FILE", help="the audio file")
    _add_format(get)
    get.set_defaults(command=job_commands.download)

    book = actions.add_parser("book", help="wait for a job and download it as an audio book")
    book.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the audio book, .m4b or .mp3"
    )
    book.set_defaults(command=job_commands.book)

    redo = actions.add_parser("redo", help="speak one sentence of a finished job again")
    redo.add_argument("job", help="id of the job")
    redo.add_argument("sentence", type=int, help="its index, from 0")
    redo.add_argument("--text", default="", help="other words for it")
    redo.add_argument("--seed", type=_seed, help="default: a random one")
    redo.add_argument("--speed", type=float, help="2 is twice as fast")
    redo.set_defaults(command=job_commands.redo)

    status = actions.add_parser("status", help="show the state of a job")
    status.set_defaults(command=job_commands.status)

    cancel = actions.add_parser("cancel", help="cancel a job that has not ended")
    cancel.set_defaults(command=job_commands.cancel)

    delete = actions.add_parser("delete", help="delete a job and its audio")
    delete.set_defaults(command=job_commands.delete)

    for action in (wait, get, book, status, cancel, delete):
        action.add_argument("job", help="id of the job")
    for action in actions.choices.values():
        _add_access(action)


def _add_voices(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    voices = commands.add_parser("voices", help="the voice library")
    actions = voices.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = actions.add_parser("list", help="list the voices")
    listing.add_argument("--language", default="", help="only voices of this language")
    listing.add_argument("--query", default="", help="only voices with this in their name")
    listing.add_argument("--kind", default="", choices=["library", "shared", "builtin"])
    listing.set_defaults(command=voice_commands.list_voices)

    _add_storing(actions)

    show = actions.add_parser("show", help="show a voice as JSON")
    show.set_defaults(command=voice_commands.show_voice)

    rename = actions.add_parser("rename", help="give a voice another name")
    rename.set_defaults(command=voice_commands.rename)

    delete = actions.add_parser("delete", help="erase a voice and its recordings")
    delete.set_defaults(command=voice_commands.delete)

    preview = actions.add_parser("preview", help="synthesize a short sentence in a voice, as WAV")
    preview.add_argument("-o", "--output", required=True, metavar="FILE", help="- is stdout")
    preview.add_argument("--language", default="", help="default: the voice's")
    preview.set_defaults(command=voice_commands.preview)

    export = actions.add_parser("export", help="write a voice and its recordings to a file")
    export.add_argument("-o", "--output", required=True, metavar="FILE", help="the voice file")
    export.add_argument(
        "--computed", action="store_true", help="with what engines computed of the voice"
    )
    export.set_defaults(command=voice_commands.export)

    for action in (show, rename, delete, preview, export):
        action.add_argument("voice", help="name or id of the voice")
    rename.add_argument("name", help="the new name")
    for action in actions.choices.values():
        _add_access(action)


def _add_storing(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    add = actions.add_parser("add", help="store a voice")
    add.add_argument("name", help="name of the voice")
    add.add_argument("clip", nargs="+", help="recordings of one speaker, at most eight")
    add.add_argument("--speaker", help="the person who consents to the use of the voice")
    add.add_argument("--statement", help="what the person consents to")
    add.add_argument("--date", help="when the person consented, YYYY-MM-DD; default today")
    add.add_argument("--method", choices=["written", "recorded", "own voice"], default="written")
    add.add_argument("--language", default="", help="language of the recordings")
    add.add_argument("--description", default="", help="at most 500 characters")
    add.set_defaults(command=voice_commands.add)

    import_ = actions.add_parser("import", help="store a voice from an exported file")
    import_.add_argument("file", help="the voice file")
    import_.set_defaults(command=voice_commands.import_voice)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError("send a number of seconds above 0, at most 86400")
    return seconds


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**63:
        raise argparse.ArgumentTypeError("send an integer from 0 to 2^63-1")
    return seed

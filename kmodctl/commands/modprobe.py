# SPDX-License-Identifier: Apache-2.0
"""modprobe: load or unload modules by name or alias, with what they need

Loads a module after the modules that it depends on; with -r unloads it, and then those that
nothing uses any more. $MODPROBE_OPTIONS holds options that come before those given.
"""

from kmodctl.environment import environment
from kmodctl.loading import LoadCommand, UnloadCommand, names_place
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser, add_wait
from kmodctl.queries import show_configuration, show_names, show_symbols
from kmodctl.quoting import split_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kmodctl.api import Api
    from kmodctl.local import Place

OPTIONS_VARIABLE = "MODPROBE_OPTIONS"


def configure(parser: Parser) -> None:
    """Add modprobe's arguments, in kmod's order: its message about a short option has it."""
    _add_actions(parser)
    _add_queries(parser)
    _add_places(parser)
    parser.extensions.add_argument(
        "--atomic",
        action="store_true",
        help="when one module cannot be loaded, unload those that were loaded for it",
    )
    metavar = "MODULE [PARAM=VALUE...]"
    parser.add_argument("words", metavar=metavar, nargs="*", help="a module's name, or an alias")


def _add_actions(parser: Parser) -> None:
    """Add what says how to load and unload."""
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="every argument is a module's name")
    add("-r", "--remove", action="store_true", help="unload instead of loading")
    add(
        "--remove-dependencies",
        "--remove-holders",
        dest="remove_holders",
        action="store_true",
        help="unload the modules' users, too (with -r)",
    )
    add_wait(parser, "a module in use (with -r)")
    add(
        "-R",
        "--resolve-alias",
        "--show-alias",
        dest="resolve_alias",
        action="store_true",
        help="print which modules a name stands for",
    )
    add("--first-time", action="store_true", help="fail when there is nothing to do")
    add(
        "-i",
        "--ignore-install",
        "--ignore-remove",
        dest="ignore_commands",
        action="store_true",
        help="do not use the named module's install or remove command",
    )
    add("-b", "--use-blacklist", action="store_true", help="apply the blacklist to names, too")
    add("-f", "--force", action="store_true", help="--force-vermagic and --force-modversion")
    add("--force-modversion", action="store_true", help="load despite other symbol versions")
    add("--force-vermagic", action="store_true", help="load despite another version magic")


def _add_queries(parser: Parser) -> None:
    """Add what only shows something."""
    add = parser.add_argument
    add("-D", "--show-depends", action="store_true", help="print the whole plan and do nothing")
    add(
        "-c",
        "--showconfig",
        "--show-config",
        dest="show_config",
        action="store_true",
        help="print the configuration and the modules' aliases",
    )
    add(
        "--show-modversions",
        "--dump-modversions",
        dest="show_versions",
        action="store_true",
        help="print the symbols that a module or its file needs, with their versions",
    )
    add(
        "--show-exports",
        action="store_true",
        help="print the symbols that a module or its file offers",
    )
    add("-n", "--dry-run", "--show", dest="dry_run", action="store_true", help="print, do nothing")


def _add_places(parser: Parser) -> None:
    """Add what says where to look, and how much to say."""
    add = parser.add_argument
    add("-C", "--config", metavar="PATH", action="append", help="the configuration; repeatable")
    add("-d", "--dirname", metavar="DIR", help="the system root that the module trees are in")
    add("-S", "--set-version", dest="release", metavar="VERSION", default="", help="the release")
    add("-s", "--syslog", action="store_true", help="send messages to syslog, not to stderr")
    add("-q", "--quiet", action="store_true", help="print no messages")
    add("-v", "--verbose", action="store_true", help="print what is done")


def words(given: "Sequence[str]") -> list[str]:
    """Return the words with those of $MODPROBE_OPTIONS before them."""
    return [*split_options(environment().get(OPTIONS_VARIABLE, "")), *given]


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for a module, also where nothing else is to be said (-q)."""
    if not options.words and not options.show_config:
        output.error("missing parameters. See -h.")
        return False
    output.quiet = options.quiet
    return True


def place(options: CommandOptions) -> "Place | None":
    """Another root or configuration is looked at here."""
    if not names_place(options):
        return None
    from kmodctl.local import place_beside

    config = tuple(options.config or ())
    return place_beside(options.daemon, options.dirname, options.release, config)


def only_asks(options: CommandOptions) -> bool:
    """Tell whether something is to be shown, and nothing done."""
    shows = options.show_config or options.show_versions or options.show_exports
    return bool(shows or options.resolve_alias or options.show_depends or options.dry_run)


def asks_about_files(options: CommandOptions) -> bool:
    """Tell whether a release is named, and nothing done."""
    return bool(options.release) and only_asks(options)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Do what is asked for; the status is that of all names together."""
    if options.show_config:
        return show_configuration(api, options.release, output)
    if options.show_versions or options.show_exports:
        what = "versions" if options.show_versions else "exports"
        word, release = options.words[0], options.release
        return show_symbols(api, word, what, release, output, every=options.all)
    if options.remove or options.remove_holders:
        return UnloadCommand(options, api, output).run(options.words)
    names = options.words if options.all else options.words[:1]
    if options.resolve_alias:
        return show_names(api, names, options.release, output, every=options.all)
    return LoadCommand(options, api, output).run(names)

"""What README and docs say is true: Python runs, commands parse, links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(text, language):
    """Fenced blocks of one language, each with the number of its first line."""
    return [
        (text.count("\n", 0, found.start(2)) + 1, found[2])
        for found in BLOCK.finditer(text)
        if found[1] == language
    ]


def commands(text):
    """Argument lists of the commands at the prompts of the console blocks."""
    for _, block in blocks(text, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield shlex.split(line[2:])


def pages(holding):
    """Parametrise over the pages for which `holding` finds something."""
    chosen = [page for page in PAGES if any(True for _ in holding(page.read_text()))]
    ids = [str(page.relative_to(ROOT)) for page in chosen]
    return pytest.mark.parametrize("page", chosen, ids=ids)


def check(command, arguments):
    """Raise if a typer command, or the one of its children that is meant, would refuse this."""
    context = command.context_class(command, info_name="sciup")
    children = getattr(command, "commands", {})
    if children:
        name = next((a for a in arguments if not a.startswith("-")), None)
        own = arguments[: arguments.index(name)] if name else arguments
    else:
        name, own = None, arguments
    if "--help" in own:
        return
    values, rest, _ = command.make_parser(context).parse_args(list(own))
    assert not rest, f"too many arguments: {rest}"
    missing = [p.name for p in command.params if p.required and values.get(p.name) is None]
    if name is None:
        assert not missing, f"missing: {missing}"
        return
    assert name in children, f"there is no command {name!r}, only {', '.join(children)}"
    check(children[name], arguments[arguments.index(name) + 1 :])


@pages(lambda text: blocks(text, "python"))
def test_python_runs(page, tmp_path, monkeypatch):
    """All blocks of a page, in order, in one namespace and an empty folder."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    if "sciup.upscale" in text and not any(ROOT.glob("models/*/weights.safetensors")):
        pytest.skip("no model in this checkout has weights")
    namespace = {"__name__": "__main__"}
    for line, source in blocks(text, "python"):
        exec(compile("\n" * (line - 1) + source, str(page), "exec"), namespace)


@pages(lambda text: (words for words in commands(text) if words[0] == "sciup"))
def test_commands_of_the_program_parse(page):
    from typer.main import get_command

    from sciup.cli import app

    for words in commands(page.read_text()):
        if words[0] == "sciup":
            try:
                check(get_command(app), words[1:])
            except Exception as error:
                raise AssertionError(f"{shlex.join(words)}: {error}") from error


def below(command):
    """Every command below another, at any depth."""
    for child in getattr(command, "commands", {}).values():
        yield child
        yield from below(child)


def test_examples_of_the_help_parse():
    from typer.main import get_command

    from sciup.cli import app

    program = get_command(app)
    for command in below(program):
        examples = re.findall(r"^\s*sciup (.*)$", command.help, re.MULTILINE)
        assert examples, f"the help of {command.name!r} has no example"
        for example in examples:
            check(program, shlex.split(example))


@pages(lambda text: (words for words in commands(text) if words[0] == "make"))
def test_targets_of_make_exist(page):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(page.read_text()):
        if words[0] == "make":
            assert {w for w in words[1:] if "=" not in w} <= set(targets), words


@pages(LINK.finditer)
def test_links_lead_to_files(page):
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation():
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    named = set(re.findall(r"[\w/-]+\.md", str(config["nav"])))
    written = {str(page.relative_to(ROOT / "docs")) for page in PAGES[2:]}
    assert named <= written
    assert {name for name in written if not name.startswith("design/")} <= named


@pytest.fixture(scope="module")
def program():
    """A made-up program on which the check of commands is checked."""
    import typer
    from typer.main import get_command

    app = typer.Typer()

    @app.command()
    def upscale(source: str, target: str, samples: int = 16, resume: bool = False): ...

    @app.command()
    def demo(): ...

    return get_command(app)


@pytest.mark.parametrize(
    "line",
    ["upscale a b", "upscale a b --samples 4 --resume", "upscale --help", "--help", "demo"],
)
def test_the_check_accepts(program, line):
    check(program, line.split())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("upscale a b --sample 4", "(?i)no such option"),
        ("upscale a", "missing: .'target'"),
        ("upscale a b c", "too many"),
        ("upscale a b --samples", "(?i)requires an argument"),
        ("enhance a b", "no command 'enhance'"),
    ],
)
def test_the_check_refuses(program, line, message):
    with pytest.raises(Exception, match=message):
        check(program, line.split())

"""`python -m sciup.cli`: the command line without the installed program."""

from sciup.cli.commands import main

if __name__ == "__main__":
    main()

"""`python -m ops` is the `bihuan` command, also where nothing is installed on the PATH."""

from ops.cli import main

if __name__ == "__main__":
    main()

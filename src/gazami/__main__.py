"""``python -m gazami``: the same command line as the ``gazami`` console script."""

from gazami.cli.main import main

if __name__ == "__main__":
    main()

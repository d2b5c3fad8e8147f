"""``python -m metriscope`` is the command ``metriscope``."""

from metriscope.cli import main

if __name__ == "__main__":
    main()

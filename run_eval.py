"""The command line from a checkout: `python run_eval.py run --generator folder:clips`."""

from evals.cli import main

if __name__ == "__main__":
    main()

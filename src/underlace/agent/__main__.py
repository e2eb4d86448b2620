"""`python -m underlace.agent`: the agent without the imports of Underlace's command line."""

import os
import sys

from underlace.agent.main import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], os.environ))

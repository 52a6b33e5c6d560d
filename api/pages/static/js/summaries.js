// The rules of the status page for the overall state, the sentences below it and the state of a group. They are the same
// as in api/pages/service_states.py and api/pages/status.py; tests/pages/test_rules.py compares them.
//
// `counts` has the number of services in each state of WORST_FIRST. Texts are returned as [key, parameters].

export const WORST_FIRST = ["outage", "degraded", "unknown", "maintenance", "operational"];

const totalOf = (counts) => WORST_FIRST.reduce((sum, state) => sum + counts[state], 0);

/** The overall state and the headline. `incident`: whether an incident is open. */
export function summaryOf(counts, incident) {
  if (counts.outage) return ["outage", "outage"];
  if (counts.degraded) return ["degraded", "degraded"];
  if (incident) return ["degraded", "incident"];
  if (counts.unknown && !counts.operational) return ["unknown", "unknown"];
  if (counts.unknown) return ["operational", "no_problems"];
  if (counts.maintenance) return ["maintenance", "maintenance"];
  return counts.operational ? ["operational", "operational"] : ["unknown", "unknown"];
}

/** The sentences below the headline. */
export function sentencesOf(counts) {
  const { operational, maintenance, unknown } = counts;
  const total = totalOf(counts);
  const trouble = counts.outage + counts.degraded;
  const sentences = [];
  if (trouble) sentences.push(["counts_trouble", { count: trouble, total }]);
  else if (operational === total) sentences.push(["counts_good", { count: total }]);
  else if (operational) sentences.push(["counts_rest", { count: operational, total }]);
  if (maintenance) sentences.push(["counts_maintenance", { count: maintenance }]);
  if (unknown) sentences.push(["counts_unknown", { count: unknown }]);
  return sentences;
}

/** The state of a group, and its text. */
export function groupSummaryOf(counts) {
  const total = totalOf(counts);
  const trouble = counts.outage + counts.degraded;
  const text = trouble ? ["group_trouble", { count: trouble, total }] : ["group_good", { count: total }];
  return [WORST_FIRST.find((state) => counts[state]), text];
}

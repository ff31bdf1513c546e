"""Many runs of one flow, a row each: `client.flows.map`."""

package sandbox

import (
	"rootlet/internal/need"
	"rootlet/sandbox/record"
	"rootlet/userns"
)

// What --require insists on and this host does not give is an error of one line, before
// anything of a container is there. You come here from run.go.

// checkIDs is --require ids: a root that is the caller's one id has nobody's but his files.
func checkIDs(plan *userns.Plan, s *record.Spec) error {
	if !s.Requires(record.RequireIDs) || plan.Method != userns.OneID {
		return nil
	}
	f := &Failure{Code: codeEngine, Message: "--require ids: only your own id is mapped: " + plan.Why, Lacks: need.IDs}
	if len(plan.Fix) > 0 {
		f.Fix = plan.Fix[0]
	}
	return f
}

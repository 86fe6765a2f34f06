package sandbox

import (
	"context"

	"rootlet/sandbox/record"
)

type ExecRequest struct{ Args []string }
type Target struct{}

func targetOf(*record.Spec, record.State) (*Target, error) { return &Target{}, nil }
func (*Target) Close()                                     {}
func (*Target) Capture(context.Context, ExecRequest, int) (int, string, error) {
	return 0, "", nil
}

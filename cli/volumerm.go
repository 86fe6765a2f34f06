package cli

import (
	"errors"
	"fmt"

	"rootlet/sandbox"
	"rootlet/sandbox/volume"
)

// volumeRmCmd is `rootlet volume rm`.
type volumeRmCmd struct {
	Volumes []string `arg:"" name:"volume" help:"Names."`
	Force   bool     `name:"force" short:"f" help:"Not to find one is no error."`
}

// Run removes the volumes one after another, goes on past one that cannot be,
// and prints the names of those that are gone.
func (c *volumeRmCmd) Run(a *app) error {
	paths, plan, err := a.place()
	if err != nil {
		return err
	}
	var ends []volumeEnd
	if err := a.have(plan, work{Paths: paths, Volumes: &volumesWork{Names: c.Volumes}}, nil, &ends); err != nil {
		return err
	}
	failed := false
	for _, end := range ends {
		if end.Error != nil && !(c.Force && end.Missing) {
			a.failed(end.Error.unpacked())
			failed = true
			continue
		}
		fmt.Fprintln(a.stdout, end.Name)
	}
	if failed {
		return exitStatus(ExitError)
	}
	return nil
}

// volumesWork removes volumes, for the worker.
type volumesWork struct {
	Names   []string `json:"names"`
	Measure bool     `json:"measure,omitempty"` // say what they took
}

// volumeEnd is what has become of one volume.
type volumeEnd struct {
	Name    string  `json:"name"`
	Size    int64   `json:"size"`
	Missing bool    `json:"missing,omitempty"`
	InUse   bool    `json:"inUse,omitempty"`
	Error   *failed `json:"error,omitempty"`
}

func (w *volumesWork) do(paths sandbox.Paths) (any, error) {
	ends := make([]volumeEnd, 0, len(w.Names))
	for _, name := range w.Names {
		end := volumeEnd{Name: name}
		if w.Measure && volume.CheckName(name) == nil {
			end.Size, _ = volume.In(paths.Data).Size(name)
		}
		if err := sandbox.RemoveVolume(paths, name); err != nil {
			var missing *volume.NotFoundError
			var inUse *volume.InUseError
			end.Missing, end.InUse = errors.As(err, &missing), errors.As(err, &inUse)
			packed := packed(err)
			end.Error = &packed
		}
		ends = append(ends, end)
	}
	return ends, nil
}

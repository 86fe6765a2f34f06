package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rootlet/cli/placement"
	"rootlet/fuseoverlay"
	"rootlet/fuseoverlay/fsprobe"
	"rootlet/internal/need"
	"rootlet/sandbox"
	"rootlet/userns"
)

// You come here from a command that is about to use layers. Where they are is decided
// once in a store's life: beside the rest, or where that cannot be, in a scratch
// (package placement). The record of it is read by findPaths.

// settle says where the layers are, and has a worker try out where they can be if that
// was not decided before.
func (a *app) settle(plan *userns.Plan, paths sandbox.Paths) (sandbox.Paths, error) {
	asked := a.askedScratch(paths)
	record, known := placement.Read(paths.Data)
	switch {
	case known && (asked == "" || asked == layersPlace(record.Layers, paths)):
		if record.Layers == "" {
			return paths, nil
		}
		err := placement.Make(record.Layers)
		if err == nil {
			a.tellScratch(paths, record)
			return paths, nil
		}
		if record.Asked {
			return paths, &placeError{fmt.Errorf("layers directory: %w", err), "name another by --layers-dir, or make that one usable"}
		}
		a.notice(fmt.Sprintf("layers directory: %v; looking for another", err))
	case asked != "" && hasLayers(paths):
		was := layersPlace(record.Layers, paths)
		return paths, &placeError{
			fmt.Errorf("--layers-dir: the layers of this store are in %s", was),
			"rootlet system move --layers " + shellWord(filepath.Dir(filepath.Dir(asked))),
		}
	case asked == "" && record.Layers == "" && hasLayers(paths):
		writeReadme(paths.Data)
		return paths, placement.Write(paths.Data, placement.Record{}) // it works, or did: where they are they stay
	}
	copied := record.Layers != "" && !known
	chosen, err := a.choosePlace(plan, paths, asked, copied)
	if err != nil {
		return paths, err
	}
	paths.Layers = chosen.Layers
	writeReadme(paths.Data)
	if err := placement.Write(paths.Data, chosen); err != nil {
		return paths, &lackError{need.Storage, fmt.Errorf("write down where layers are: %w", err)}
	}
	a.tellScratch(paths, chosen)
	return paths, nil
}

// layersPlace is where layers are, also where that is beside the rest.
func layersPlace(layers string, paths sandbox.Paths) string {
	if layers == "" {
		return paths.Data
	}
	return layers
}

// askedScratch is the place that the user names, empty where he does not. The data
// directory's own name asks for the layers to be in it.
func (a *app) askedScratch(paths sandbox.Paths) string {
	if a.layersDir == "" {
		return ""
	}
	return scratchIn(a.layersDir, paths)
}

func scratchIn(dir string, paths sandbox.Paths) string {
	dir = filepath.Clean(dir)
	if dir == paths.Data {
		return dir
	}
	return placement.Scratch(dir, paths.Data)
}

// hasLayers reports whether a store has any, wherever they are.
func hasLayers(paths sandbox.Paths) bool {
	layers, err := view(paths).Layers()
	return err != nil || len(layers) > 0
}

// placeError is a place that cannot be used.
type placeError struct {
	error
	hint string
}

func (e *placeError) Unwrap() error { return e.error }

// Hint says what to type.
func (e *placeError) Hint() string { return e.hint }

// Need is the line of doctor about it.
func (e *placeError) Need() string { return need.Storage }

// choosePlace has a worker try the data directory, and the others where layers cannot
// lie in it. The layers of a store that was copied from where it had a scratch are not
// in it: it gets a scratch again, which fills from what is kept of the images.
func (a *app) choosePlace(plan *userns.Plan, paths sandbox.Paths, asked string, copied bool) (placement.Record, error) {
	var none placement.Record
	switch asked {
	case paths.Data:
		return none, nil
	case "":
	default:
		made, err := a.tryPlaces(plan, paths, asked)
		if err != nil {
			return none, err
		}
		if why := made[0].Report.Unfit(); len(why) > 0 {
			placement.Unmake(asked)
			return none, &placeError{fmt.Errorf("--layers-dir: no layers can be in %s (%s): %s", asked, made[0].Report.FS, strings.Join(why, "; ")), "name a directory on a disk of this host"}
		}
		return placement.Record{Layers: asked, Asked: true}, nil
	}
	tried, err := a.tryPlaces(plan, paths, paths.Data)
	if err != nil {
		return none, err
	}
	home := tried[0]
	if home.fits() && !copied {
		return placement.Record{FS: home.Report.FS}, nil
	}
	for _, base := range placement.Bases(os.Getenv) {
		scratch := placement.Scratch(base, paths.Data)
		tried, err := a.tryPlaces(plan, paths, scratch)
		if err == nil && (tried[0].better(home) || copied && tried[0].fits()) {
			return placement.Record{Layers: scratch, FS: home.Report.FS, Why: home.why()}, nil
		}
		placement.Unmake(scratch)
	}
	return placement.Record{FS: home.Report.FS}, nil // nowhere is better: what fails will say so
}

// tryPlaces has a worker try one directory, which is made if it is a scratch.
func (a *app) tryPlaces(plan *userns.Plan, paths sandbox.Paths, dir string) ([]triedPlace, error) {
	if dir != paths.Data {
		base := filepath.Dir(filepath.Dir(dir))
		if err := os.MkdirAll(base, 0o700); err != nil {
			return nil, &placeError{fmt.Errorf("layers directory: %w", err), ""}
		}
		if err := placement.Make(dir); err != nil {
			return nil, &placeError{fmt.Errorf("layers directory: %w", err), ""}
		}
	}
	var tried []triedPlace
	err := a.have(plan, work{Paths: paths, Places: &placesWork{Dirs: []string{dir}}}, nil, &tried)
	if err == nil && len(tried) != 1 {
		err = errors.New("worker: no answer about a place")
	}
	return tried, err
}

// tellScratch says once a day that the layers are not with the rest, where nobody
// asked for that.
func (a *app) tellScratch(paths sandbox.Paths, r placement.Record) {
	if r.Layers == "" || r.Asked || a.quiet || !a.due(filepath.Join(paths.Data, "notices"), "notice-layers") {
		return
	}
	a.notice(fmt.Sprintf("layers are kept in %s, since %s (%s) cannot hold them: %s", r.Layers, paths.Data, r.FS, strings.Join(r.Why, "; ")))
	a.line("rootlet: hint: ", need.See(need.Storage))
}

// due reports whether a notice is to be given today, and notes that it was.
func (a *app) due(dir, name string) bool {
	stamp, today := filepath.Join(dir, name), a.began.Format(time.DateOnly)
	if shown, err := os.ReadFile(stamp); err == nil && strings.TrimSpace(string(shown)) == today {
		return false
	}
	if err := os.MkdirAll(dir, 0o700); err == nil {
		_ = os.WriteFile(stamp, []byte(today+"\n"), 0o600)
	}
	return true
}

// placesWork tries directories out, for the worker: it needs no store.
type placesWork struct {
	Dirs []string `json:"dirs"`
}

// triedPlace is what came of one.
type triedPlace struct {
	Report fsprobe.Report     `json:"report"`
	Choice fuseoverlay.Choice `json:"choice"` // which driver works there
}

// fits reports whether a data directory can have the layers: those that can only be
// copied for each container are better elsewhere.
func (p triedPlace) fits() bool {
	return len(p.Report.Unfit()) == 0 && (p.Choice.Driver != fuseoverlay.Copy || p.Choice.Forced)
}

// better reports whether layers are to be here rather than in the data directory.
func (p triedPlace) better(home triedPlace) bool {
	switch {
	case len(p.Report.Unfit()) > 0:
		return false
	case len(home.Report.Unfit()) > 0:
		return true
	}
	return p.Choice.Driver != fuseoverlay.Copy
}

// why is why not.
func (p triedPlace) why() []string {
	why := p.Report.Unfit()
	if len(why) == 0 {
		for _, r := range p.Choice.RuledOut {
			why = append(why, "no "+r.Driver+": "+r.Why)
		}
	}
	return why
}

func (w *placesWork) do(t *task) (any, error) {
	tried := []triedPlace{}
	for _, dir := range w.Dirs {
		p := triedPlace{Report: fsprobe.Dir(dir, fuseoverlay.OtherID())}
		if len(p.Report.Unfit()) == 0 {
			p.Choice = fuseoverlay.ChoiceAt(dir, t.Driver)
		}
		tried = append(tried, p)
	}
	return tried, nil
}

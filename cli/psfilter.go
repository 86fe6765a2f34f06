package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rootlet/fuseoverlay"
	"rootlet/sandbox"
	"rootlet/sandbox/record"
	"rootlet/slirp/publish"
)

// psFilter is --filter of ps, with what its values stand for looked up.
type psFilter struct {
	filters
	ids, names    []*regexp.Regexp
	expose        []portRange
	before, since []record.Spec
	isOf          func(record.Spec) bool // ancestor
	publish       []portRange
}

// psFilters are the keys.
var psFilters = [...]string{
	"ancestor", "before", "exited", "expose", "health", "id", "label", "label!", "name", "network", "publish", "since", "status", "volume",
}

func (c *psCmd) filterKeys() []string { return psFilters[:] }

// The values that a status and a health may have.
var (
	statuses = [...]string{"created", "restarting", "running", "removing", "paused", "exited", "dead"}
	healths  = [...]string{record.HealthStarting, record.Healthy, record.Unhealthy, noHealth}
)

func parsePsFilter(paths sandbox.Paths, given []string) (*psFilter, error) {
	parsed, err := parseFilters(given, psFilters[:]...)
	if err != nil {
		return nil, err
	}
	f := &psFilter{filters: parsed}
	for key, allowed := range map[string][]string{"status": statuses[:], "health": healths[:]} {
		for _, value := range parsed[key] {
			if !slices.Contains(allowed, value) {
				return nil, fmt.Errorf("invalid filter '%s=%s': want one of %s", key, value, strings.Join(allowed, ", "))
			}
		}
	}
	for _, value := range parsed["exited"] {
		if _, err := strconv.Atoi(value); err != nil {
			return nil, fmt.Errorf("invalid filter 'exited=%s': want a number", value)
		}
	}
	if f.expose, err = parsePortRanges(parsed["expose"]); err != nil {
		return nil, err
	}
	if f.publish, err = parsePortRanges(parsed["publish"]); err != nil {
		return nil, err
	}
	f.ids, f.names = patterns(parsed["id"]), patterns(parsed["name"])
	return f, f.lookUp(paths)
}

// patterns are the values of id and name: a part of it, or as Docker has it, a
// regular expression.
func patterns(values []string) []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, value := range values {
		p, err := regexp.Compile(value)
		if err != nil {
			p = regexp.MustCompile(regexp.QuoteMeta(value))
		}
		list = append(list, p)
	}
	return list
}

func matchAny(patterns []*regexp.Regexp, texts ...string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool {
		return slices.ContainsFunc(texts, p.MatchString)
	})
}

// lookUp finds the containers of before and since, and the image of ancestor.
func (f *psFilter) lookUp(paths sandbox.Paths) error {
	root := record.Root(paths.Data)
	for _, key := range []struct {
		name string
		into *[]record.Spec
	}{{"before", &f.before}, {"since", &f.since}} {
		for _, given := range f.filters[key.name] {
			id, err := root.Find(given)
			if err != nil {
				return err
			}
			spec, err := root.Spec(id)
			if err != nil {
				return err
			}
			*key.into = append(*key.into, spec)
		}
	}
	if !f.has("ancestor") {
		return nil
	}
	var err error
	f.isOf, err = descends(view(paths), f.filters["ancestor"])
	return err
}

// everything reports whether containers that do not run are meant without --all.
func (f *psFilter) everything() bool { return f.has("status") }

func (f *psFilter) matches(e record.Entry) bool {
	s := e.Spec
	return matchAny(f.ids, e.ID) && matchAny(f.names, s.Name, "/"+s.Name) &&
		f.is("status", string(e.State.Status)) && f.is("health", health(e.State)) &&
		(!f.has("exited") || e.State.Status == record.Exited && f.is("exited", strconv.Itoa(e.State.ExitCode))) &&
		f.labels(s.Labels) && f.any("network", func(want string) bool { return f.inNetwork(e, want) }) && f.any("volume", func(want string) bool { return mounted(s, want) }) &&
		(!f.has("expose") || anyOf(exposed(s), f.expose)) && (!f.has("publish") || anyOf(published(s), f.publish)) &&
		(f.isOf == nil || f.isOf(s)) && f.inTime(s)
}

// inNetwork takes a network's name or the beginning of its id.
func (f *psFilter) inNetwork(e record.Entry, want string) bool {
	return slices.Contains(e.Networks(), want) || slices.ContainsFunc(e.State.Endpoints, func(end record.Endpoint) bool {
		return want != "" && strings.HasPrefix(end.NetworkID, want)
	})
}

// inTime reports whether a container is older than that of before, and younger
// than that of since.
func (f *psFilter) inTime(s record.Spec) bool {
	earlier := func(a, b time.Time) bool { return !a.IsZero() && a.Before(b) }
	return (len(f.before) == 0 || slices.ContainsFunc(f.before, func(than record.Spec) bool { return earlier(s.Created, than.Created) })) &&
		(len(f.since) == 0 || slices.ContainsFunc(f.since, func(than record.Spec) bool { return earlier(than.Created, s.Created) }))
}

// mounted reports whether a volume, or what is mounted at a path, is in a
// container.
func mounted(s record.Spec, want string) bool {
	return slices.ContainsFunc(s.Mounts, func(m record.Mount) bool {
		return m.Type == record.Volume && m.Source == want || m.Target == want || m.Type == record.Bind && m.Source == want
	})
}

func anyOf(ports []publish.Port, ranges []portRange) bool {
	return slices.ContainsFunc(ports, func(p publish.Port) bool {
		return slices.ContainsFunc(ranges, func(r portRange) bool { return r.has(p) })
	})
}

// descends says of containers whether they are made of one of these images, or
// of one that has the same layers and some on top. An image that is not here has
// no descendants.
func descends(images fuseoverlay.View, ancestors []string) (func(record.Spec) bool, error) {
	var roots []*fuseoverlay.Image
	for _, given := range ancestors {
		name, err := storedName(images, given)
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'ancestor=%s': %w", given, err)
		}
		if i, err := images.Image(name); err == nil {
			roots = append(roots, i)
		}
	}
	known := map[string]bool{} // by the id of a container's image
	return func(s record.Spec) bool {
		is, asked := known[s.ImageID]
		if !asked {
			is = slices.ContainsFunc(roots, func(root *fuseoverlay.Image) bool { return root.ID == s.ImageID || below(images, root, s.ImageID) })
			known[s.ImageID] = is
		}
		return is
	}, nil
}

// below reports whether the image of this id has all layers of root, and more.
func below(images fuseoverlay.View, root *fuseoverlay.Image, id string) bool {
	i, err := images.Image(id)
	if err != nil {
		return false
	}
	lower, all := diffIDs(root), diffIDs(i)
	return len(lower) > 0 && len(all) > len(lower) && slices.Equal(lower, all[:len(lower)])
}

// diffIDs are an image's layers, the lowest first (OCI image-spec, config.md).
func diffIDs(i *fuseoverlay.Image) []string {
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	_ = json.Unmarshal(i.Config, &config) // of another hand: no layers that are known
	return config.RootFS.DiffIDs
}

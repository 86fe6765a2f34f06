package sandbox

import (
	"strconv"
	"strings"

	"rootlet/sandbox/identity"
	"rootlet/sandbox/record"
)

// You come here from monitor.go, once a container with --userns auto has a
// directory. Who has which ids is kept by record.TakeRange.

// As Podman, it gives a container no fewer ids than this; and so that what one
// leaves free fits the next, always a multiple of it.
const autoStep = 1024

// takeIDs takes ids for a container that is to have its own.
func (m *monitor) takeIDs() error {
	u := &m.Spec.UserNS
	if u.Mode != record.Auto {
		return nil
	}
	count := u.Size
	if count == 0 {
		var err error
		if count, err = m.idsNeeded(); err != nil {
			return err
		}
	}
	var err error
	if u.IDs, err = m.container.TakeRange(count, min(m.uids.size(), m.gids.size())); err != nil {
		return err
	}
	return m.mapIDs()
}

// idsNeeded goes by the users and groups that the image knows, and by those that
// the container is to run as.
func (m *monitor) idsNeeded() (uint32, error) {
	highest := 0
	for _, file := range []string{"etc/passwd", "etc/group"} {
		versions, err := m.store.Versions(m.image, file, identity.MaxFile)
		if err != nil {
			return 0, err
		}
		for _, text := range versions {
			highest = max(highest, identity.Highest(text))
		}
	}
	for _, name := range append(strings.Split(m.Spec.Process.User, ":"), m.Spec.Process.GroupAdd...) {
		if id, err := strconv.ParseUint(name, 10, 31); err == nil {
			highest = max(highest, int(id))
		}
	}
	return uint32(highest/autoStep+1) * autoStep, nil
}

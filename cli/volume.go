package cli

import (
	"maps"
	"time"

	"rootlet/sandbox"
	"rootlet/sandbox/volume"
)

// volumeInfo is a volume as `inspect` shows it, with Docker's names.
type volumeInfo struct {
	CreatedAt  string
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
	UsageData  *volumeUsage `json:",omitempty"` // only where it was asked for
}

// volumeUsage is what a volume takes, and how many containers have it.
type volumeUsage struct {
	RefCount int
	Size     int64
}

// volumeScope says that a volume is on this host only.
const volumeScope = "local"

// anonymousLabel is by what Docker knows a volume whose name nobody chose.
const anonymousLabel = "com.docker.volume.anonymous"

// inspectVolume describes one volume. It returns a *volume.NotFoundError where
// there is none.
func inspectVolume(paths sandbox.Paths, name string) (volumeInfo, error) {
	store := volume.In(paths.Data)
	v, err := store.Inspect(name)
	if err != nil {
		return volumeInfo{}, err
	}
	return describeVolume(store, v), nil
}

func describeVolume(store volume.Store, v volume.Volume) volumeInfo {
	info := volumeInfo{
		CreatedAt: v.Created.Local().Format(time.RFC3339), Driver: volume.Driver, Labels: v.Labels, Mountpoint: store.Mountpoint(v.Name),
		Name: v.Name, Options: v.Options, Scope: volumeScope,
	}
	if v.Device() != "" {
		info.Mountpoint = v.Device()
	}
	if v.Anonymous {
		info.Labels = map[string]string{anonymousLabel: ""}
		maps.Copy(info.Labels, v.Labels)
	}
	return info
}

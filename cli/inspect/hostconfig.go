package inspect

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/publish"
)

// HostConfig is what a container was made with that belongs to this host.
type HostConfig struct {
	Binds           []string
	ContainerIDFile string
	LogConfig       LogConfig
	NetworkMode     string
	PortBindings    map[string][]PortBinding
	RestartPolicy   RestartPolicy
	AutoRemove      bool
	VolumeDriver    string
	VolumesFrom     []string
	ConsoleSize     [2]uint
	Annotations     map[string]string
	CapAdd          []string
	CapDrop         []string
	CgroupnsMode    string
	DNS             []string `json:"Dns"`
	DNSOptions      []string `json:"DnsOptions"`
	DNSSearch       []string `json:"DnsSearch"`
	ExtraHosts      []string
	GroupAdd        []string
	IpcMode         string
	Cgroup          string
	Links           []string
	OomScoreAdj     int
	PidMode         string
	Privileged      bool
	PublishAllPorts bool
	ReadonlyRootfs  bool
	SecurityOpt     []string
	StorageOpt      map[string]string
	Tmpfs           map[string]string
	UTSMode         string
	UsernsMode      string
	ShmSize         int64
	Sysctls         map[string]string
	Runtime         string
	Isolation       string
	Resources
	Mounts        []struct{} // Binds and Tmpfs have them all
	MaskedPaths   []string
	ReadonlyPaths []string
	Init          *bool
	Sandbox       *Sandbox `json:",omitempty"` // nil: it is none
	Require       []string `json:",omitempty"` // as --require has it
}

// Sandbox says what --sandbox has come to on this host.
type Sandbox struct {
	Landlock  int  // the version that confines its files; 0: none has so far
	CallersID bool // it has its user's own id, who has no others
}

// Resources are the limits of a container, as asked for: State.LimitedBy has what holds them.
type Resources struct {
	CPUShares            int64 `json:"CpuShares"`
	Memory               int64
	NanoCPUs             int64 `json:"NanoCpus"`
	CgroupParent         string
	BlkioWeight          uint16
	BlkioWeightDevice    []struct{}
	BlkioDeviceReadBps   []struct{}
	BlkioDeviceWriteBps  []struct{}
	BlkioDeviceReadIOps  []struct{}
	BlkioDeviceWriteIOps []struct{}
	CPUPeriod            int64 `json:"CpuPeriod"`
	CPUQuota             int64 `json:"CpuQuota"`
	CPURealtimePeriod    int64 `json:"CpuRealtimePeriod"`
	CPURealtimeRuntime   int64 `json:"CpuRealtimeRuntime"`
	CpusetCpus           string
	CpusetMems           string
	Devices              []Device
	DeviceCgroupRules    []string
	DeviceRequests       []struct{}
	MemoryReservation    int64
	MemorySwap           int64
	MemorySwappiness     *int64
	OomKillDisable       *bool
	PidsLimit            *int64
	Ulimits              []Ulimit
}

// LogConfig says where the output goes.
type LogConfig struct {
	Type   string
	Config map[string]string
}

// PortBinding is where on the host a port is published.
type PortBinding struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

// wanted is what -p asked for: no port is any.
func wanted(mappings []publish.Mapping) map[string][]PortBinding {
	all := map[string][]PortBinding{}
	for _, m := range mappings {
		b := PortBinding{}
		if m.HostIP.IsValid() {
			b.HostIP = m.HostIP.String()
		}
		switch {
		case m.HostFirst != m.HostLast:
			b.HostPort = fmt.Sprintf("%d-%d", m.HostFirst, m.HostLast)
		case m.HostFirst != 0:
			b.HostPort = strconv.Itoa(int(m.HostFirst))
		}
		all[m.Port().String()] = append(all[m.Port().String()], b)
	}
	return all
}

// RestartPolicy says when a container is started again.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// Device is a device of the host's.
type Device struct{ PathOnHost, PathInContainer, CgroupPermissions string }

// Ulimit is a resource limit of the first process.
type Ulimit struct {
	Name string
	Hard int64
	Soft int64
}

func hostConfigOf(s record.Spec, state record.State, from Sources) HostConfig {
	h := HostConfig{
		LogConfig:   LogConfig{Type: s.Log.Driver, Config: s.Log.Options},
		NetworkMode: networkMode(s), PortBindings: wanted(s.Ports), PublishAllPorts: s.PublishAll,
		RestartPolicy: RestartPolicy{Name: s.Restart.Policy, MaximumRetryCount: s.Restart.Retries},
		AutoRemove:    s.Remove, VolumesFrom: s.VolumesFrom, Annotations: map[string]string{}, CapAdd: s.CapAdd, CapDrop: s.CapDrop,
		CgroupnsMode: "private", DNS: filled(s.DNS), DNSOptions: []string{}, DNSSearch: filled(s.DNSSearch),
		ExtraHosts: s.ExtraHosts, GroupAdd: s.Process.GroupAdd, IpcMode: cmp.Or(s.IPC, "private"), PidMode: s.PID, UTSMode: s.UTS, OomScoreAdj: s.OOMScoreAdj, Privileged: s.Privileged,
		ReadonlyRootfs: s.ReadOnly, StorageOpt: map[string]string{}, Tmpfs: map[string]string{}, ShmSize: s.ShmSize,
		Sysctls: map[string]string{}, Runtime: "rootlet", UsernsMode: s.UserNS.String(), Resources: resourcesOf(s), Mounts: []struct{}{},
		MaskedPaths: from.Masked, ReadonlyPaths: from.ReadOnly, Init: &s.Init,
	}
	if s.SystemPathsOpen {
		h.MaskedPaths, h.ReadonlyPaths = []string{}, []string{}
	}
	if h.LogConfig.Type == "" {
		h.LogConfig.Type = record.LogJSONFile
	}
	if h.LogConfig.Config == nil {
		h.LogConfig.Config = map[string]string{}
	}
	if h.RestartPolicy.Name == "" {
		h.RestartPolicy.Name = record.RestartNo
	}
	if s.NoNewPrivileges {
		h.SecurityOpt = []string{"no-new-privileges"}
	}
	if s.Seccomp.Profile != "" {
		h.SecurityOpt = append(h.SecurityOpt, "seccomp="+s.Seccomp.Profile)
	}
	if s.SystemPathsOpen && !s.Privileged {
		h.SecurityOpt = append(h.SecurityOpt, "systempaths="+record.Unconfined)
	}
	h.Require = s.Require
	if s.StorageOpt != nil {
		h.StorageOpt = s.StorageOpt
	}
	if s.Sandbox {
		h.Sandbox = &Sandbox{Landlock: state.Landlock, CallersID: state.CallersID}
		if !state.CallersID {
			h.UsernsMode = record.NoMap
		}
	}
	h.addMounts(s)
	return h
}

// addMounts tells the mounts as -v and --tmpfs would, whichever flag it was: the
// record does not say.
func (h *HostConfig) addMounts(s record.Spec) {
	for _, m := range s.Mounts {
		switch {
		case m.Type == record.Tmpfs:
			h.Tmpfs[m.Target] = tmpfsOptions(m)
			continue
		case m.Anonymous:
			continue
		}
		bind := m.Source + ":" + m.Target
		if options := mountOptions(m, m.Propagation); options != "" {
			bind += ":" + options
		}
		h.Binds = append(h.Binds, bind)
	}
}

func tmpfsOptions(m record.Mount) string {
	var size, mode string
	if m.Size > 0 {
		size = "size=" + strconv.FormatInt(m.Size, 10)
	}
	if m.Mode > 0 {
		mode = "mode=" + strconv.FormatUint(uint64(m.Mode), 8)
	}
	return mountOptions(m, size, mode)
}

// mountOptions are a mount's, separated by commas.
func mountOptions(m record.Mount, more ...string) string {
	var words []string
	for _, o := range []struct {
		set  bool
		word string
	}{{m.ReadOnly, "ro"}, {m.NoSuid, "nosuid"}, {m.NoDev, "nodev"}, {m.NoExec, "noexec"}, {m.NoCopy, "nocopy"}} {
		if o.set {
			words = append(words, o.word)
		}
	}
	for _, word := range more {
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, ",")
}

func resourcesOf(s record.Spec) Resources {
	none := []struct{}{}
	r := Resources{
		BlkioWeightDevice: none, BlkioDeviceReadBps: none, BlkioDeviceWriteBps: none, BlkioDeviceReadIOps: none, BlkioDeviceWriteIOps: none,
		Devices: []Device{}, Ulimits: []Ulimit{},
	}
	for _, d := range s.Devices {
		r.Devices = append(r.Devices, Device{PathOnHost: d.Source, PathInContainer: d.Target, CgroupPermissions: "rwm"})
	}
	for _, u := range s.Ulimits {
		r.Ulimits = append(r.Ulimits, Ulimit{Name: u.Name, Hard: u.Hard, Soft: u.Soft})
	}
	r.addLimits(s)
	return r
}

// addLimits tells the limits. Swap that nobody has spoken of is as much as memory.
func (r *Resources) addLimits(s record.Spec) {
	l := s.Limits
	r.CgroupParent = s.CgroupParent
	r.Memory, r.MemorySwap, r.MemoryReservation = l.Memory, l.MemorySwap, l.MemoryReservation
	if l.Memory > 0 && l.MemorySwap == 0 {
		r.MemorySwap = 2 * l.Memory
	}
	r.NanoCPUs, r.CPUQuota, r.CPUPeriod, r.CPUShares = l.NanoCPUs, l.CPUQuota, l.CPUPeriod, l.CPUShares
	r.CpusetCpus, r.CpusetMems, r.BlkioWeight, r.PidsLimit = l.CpusetCPUs, l.CpusetMems, uint16(l.BlkioWeight), l.Pids
	if l.OOMKillDisable {
		r.OomKillDisable = &l.OOMKillDisable
	}
}

// networkMode is what --network was: the name of the first where containers share it.
func networkMode(s record.Spec) string {
	if s.Network == slirp.Bridge && len(s.Networks) > 0 {
		return s.Networks[0].Network
	}
	return s.Network
}

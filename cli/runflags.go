package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"

	"rootlet/pull"
	"rootlet/sandbox"
	"rootlet/sandbox/logfile"
	"rootlet/sandbox/record"
	"rootlet/slirp"
	"rootlet/slirp/publish"
)

// newContainer is what run and create have in common.
type newContainer struct {
	runFlags
	healthFlags
	Image   string   `arg:"" help:"Image to run: a name, or an id."`
	Command []string `arg:"" optional:"" passthrough:"" help:"Command and its arguments, instead of the image's."`
}

// runFlags say what a container is.
type runFlags struct {
	AddHost      []string `name:"add-host" sep:"none" placeholder:"NAME:IP" help:"Add a line to /etc/hosts."`
	CapAdd       []string `name:"cap-add" sep:"none" placeholder:"CAP" help:"Add a capability."`
	CapDrop      []string `name:"cap-drop" sep:"none" placeholder:"CAP" help:"Drop a capability."`
	CgroupParent string   `name:"cgroup-parent" placeholder:"CGROUP" help:"Make its control group below this one."`
	CIDFile      string   `name:"cidfile" placeholder:"FILE" help:"Write the container's id to this file."`
	Device       []string `name:"device" sep:"none" placeholder:"HOST[:CONTAINER]" help:"Show a device of the host's that you may open."`
	DNS          []string `name:"dns" sep:"none" placeholder:"IP" help:"Name server of the container."`
	DNSSearch    []string `name:"dns-search" sep:"none" placeholder:"DOMAIN" help:"Search domain of the container."`
	Egress       []string `name:"egress" sep:"none" placeholder:"none|public|LIST" help:"Where it may connect to, and nowhere else: api.example.com:443,*.example.org,10.0.0.0/8."`
	Entrypoint   *string  `name:"entrypoint" placeholder:"PROGRAM" help:"Program instead of the image's entrypoint."`
	Env          []string `name:"env" short:"e" sep:"none" placeholder:"KEY[=VALUE]" help:"Set a variable; without a value, as it is here."`
	EnvFile      []string `name:"env-file" sep:"none" placeholder:"FILE" help:"Read variables from a file."`
	Expose       []string `name:"expose" sep:"none" placeholder:"PORT[/PROTO]" help:"Note a port as one that the container serves."`
	GroupAdd     []string `name:"group-add" sep:"none" placeholder:"GROUP" help:"Add a supplementary group."`
	Hostname     string   `name:"hostname" short:"h" placeholder:"NAME" help:"Host name of the container."`
	Init         bool     `name:"init" help:"Run an init that forwards signals and reaps processes."`
	Interactive  bool     `name:"interactive" short:"i" help:"Keep standard input open."`
	Label        []string `name:"label" short:"l" sep:"none" placeholder:"KEY=VALUE" help:"Set a label."`
	LogDriver    string   `name:"log-driver" default:"json-file" placeholder:"DRIVER" help:"json-file or none."`
	LogOpt       []string `name:"log-opt" sep:"none" placeholder:"KEY=VALUE" help:"Option of the log driver: max-size, max-file."`
	Mount        []string `name:"mount" sep:"none" placeholder:"MOUNT" help:"Attach a mount: type=bind|volume|tmpfs,source=...,target=..."`
	Name         string   `name:"name" placeholder:"NAME" help:"Name of the container."`
	limitFlags
	namespaceFlags
	networkFlags
	NoRootEmulation bool     `name:"no-root-emulation" help:"With one id, leave to the kernel what changes owners and ids: it refuses."`
	OOMKillDisable  bool     `name:"oom-kill-disable" help:"Have it wait, and not be killed, where it has no memory left; cgroups of version 1 only."`
	OOMScoreAdj     int      `name:"oom-score-adj" placeholder:"N" help:"How soon the kernel kills it for want of memory, -1000 to 1000."`
	Platform        string   `name:"platform" env:"DOCKER_DEFAULT_PLATFORM" placeholder:"OS/ARCH" help:"Platform of the image."`
	Privileged      bool     `name:"privileged" help:"Every capability over the container's own namespaces, all system calls, nothing of /proc and /sys masked."`
	Publish         []string `name:"publish" short:"p" sep:"none" placeholder:"[[IP:]PORT:]PORT" help:"Publish a port of the container on the host."`
	PublishAll      bool     `name:"publish-all" short:"P" help:"Publish every port that is exposed, each on a free one."`
	Pull            string   `name:"pull" default:"missing" enum:"always,missing,never,newer" help:"When to pull: always, missing, never or newer."`
	Quiet           bool     `name:"quiet" short:"q" help:"No progress and no notices."`
	ReadOnly        bool     `name:"read-only" help:"Mount the root read-only."`
	ReadTmpfs       bool     `name:"read-only-tmpfs" help:"With --read-only, mount a tmpfs on /run, /tmp and /var/tmp."`
	Remove          bool     `name:"rm" help:"Remove the container when it ends."`
	Require         []string `name:"require" sep:"none" placeholder:"LEVEL" help:"Fail rather than do with less: full, bound-proc, host-pid or host-network; limits; ids."`
	Restart         string   `name:"restart" default:"no" placeholder:"POLICY" help:"no, always, unless-stopped, or on-failure[:N]."`
	SecurityOpt     []string `name:"security-opt" sep:"none" placeholder:"OPTION" help:"no-new-privileges; seccomp=FILE, builtin or unconfined; systempaths=unconfined."`
	Sandbox         bool     `name:"sandbox" help:"For code that nobody trusts: no rights, no network, nothing to write to but memory."`
	ShmSize         string   `name:"shm-size" default:"64m" placeholder:"SIZE" help:"Size of /dev/shm."`
	StopSignal      string   `name:"stop-signal" placeholder:"SIGNAL" help:"Signal that stops the container."`
	StopTimeout     *int     `name:"stop-timeout" placeholder:"SECONDS" help:"How long stop waits before it kills."`
	StorageOpt      []string `name:"storage-opt" sep:"none" placeholder:"size=SIZE" help:"How much of the disk it may take with what it writes to its root: size=10G."`
	TLSVerify       *bool    `name:"tls-verify" help:"Check the registry's certificate."`
	Tmpfs           []string `name:"tmpfs" sep:"none" placeholder:"PATH[:OPTIONS]" help:"Mount a tmpfs."`
	TTY             bool     `name:"tty" short:"t" help:"Give the container a terminal."`
	Ulimit          []string `name:"ulimit" sep:"none" placeholder:"NAME=SOFT[:HARD]" help:"Set a resource limit."`
	User            string   `name:"user" short:"u" placeholder:"USER[:GROUP]" help:"Run as this user, by name or number."`
	UserNS          string   `name:"userns" placeholder:"MODE" help:"keep-id[:uid=N,gid=N]: have your own id inside too; nomap: have none inside; auto[:size=N]: nor share its ids."`
	Volume          []string `name:"volume" short:"v" sep:"none" placeholder:"SOURCE:TARGET[:OPTIONS]" help:"Bind a path or volume."`
	VolumesFrom     []string `name:"volumes-from" sep:"none" placeholder:"CONTAINER[:ro]" help:"Mount the volumes of another container."`
	WorkDir         string   `name:"workdir" short:"w" placeholder:"DIR" help:"Working directory inside."`
}

// When --pull pulls.
const (
	pullAlways = "always"
	pullNever  = "never"
	pullNewer  = "newer"
)

// request turns the command line into what a monitor understands. All that
// depends on where the user is (his directory, his variables) ends here.
func (c *newContainer) request(a *app) (sandbox.Request, error) {
	r := sandbox.Request{Quiet: c.Quiet, Spec: record.Spec{
		Name: strings.TrimPrefix(c.Name, "/"), Image: c.Image, Hostname: c.Hostname,
		DNS: c.DNS, DNSSearch: c.DNSSearch, ExtraHosts: c.AddHost,
		NoRootEmulation: c.NoRootEmulation, ReadOnly: c.ReadOnly, CapAdd: c.CapAdd, CapDrop: c.CapDrop,
		StopSignal: c.StopSignal, StopTimeout: c.StopTimeout, OOMScoreAdj: c.OOMScoreAdj, Remove: c.Remove, Init: c.Init, Interactive: c.Interactive,
		StorageDriver: a.storageDriver,
		Process: record.Process{
			Cmd: c.Command, WorkingDir: c.WorkDir, User: c.User, GroupAdd: c.GroupAdd, TTY: c.TTY,
		},
	}}
	if c.Entrypoint != nil {
		r.EntrypointSet = true
		if *c.Entrypoint != "" {
			r.Spec.Process.Entrypoint = []string{*c.Entrypoint}
		}
	}
	for _, fill := range []func(*sandbox.Request) error{
		c.checkWords, c.fillRequire, c.fillUserNS, c.fillNetwork, c.fillNamespaces, c.fillPlatform, c.fillEnv, c.fillLabels, c.fillLimits, c.fillResources, c.fillMounts, c.fillDevices, c.fillSecurity,
		c.fillRestart, c.fillLog, c.fillPorts, c.fillHealth, c.fillTerminal(a), c.fillSandbox,
	} {
		if err := fill(&r); err != nil {
			return r, err
		}
	}
	var err error
	if r.Paths, err = findPaths(); err != nil {
		return r, err
	}
	if err := checkNetworks(r); err != nil {
		return r, err
	}
	if err := c.fillTransport(a, &r); err != nil {
		return r, err
	}
	if r.ImageName, err = storedName(a.view(r.Paths), c.Image); err != nil {
		return r, err
	}
	if r.HelloID, err = helloID(c.Image); err != nil {
		return r, err
	}
	from, err := sandbox.VolumesFrom(record.Root(r.Paths.Data), c.VolumesFrom)
	r.Spec.Mounts, r.Spec.VolumesFrom = sandbox.WithVolumes(r.Spec.Mounts, from), c.VolumesFrom
	return r, err
}

// checkWords checks what needs no more than a look.
func (c *newContainer) checkWords(*sandbox.Request) error {
	if c.Name != "" {
		if err := record.CheckName(strings.TrimPrefix(c.Name, "/")); err != nil {
			return err
		}
	}
	if c.Hostname != "" {
		if err := slirp.CheckHostname(c.Hostname); err != nil {
			return err
		}
	}
	if c.CIDFile != "" {
		if _, err := os.Lstat(c.CIDFile); err == nil {
			return fmt.Errorf("--cidfile: %s is there already", c.CIDFile)
		}
	}
	for _, host := range c.AddHost {
		if _, err := slirp.ParseAddHost(host); err != nil {
			return err
		}
	}
	for _, server := range c.DNS {
		if _, err := slirp.ParseDNS(server); err != nil {
			return err
		}
	}
	for _, domain := range c.DNSSearch {
		if _, err := slirp.ParseDNSSearch(domain); err != nil {
			return err
		}
	}
	if err := sandbox.CheckSignal(c.StopSignal); err != nil {
		return err
	}
	return sandbox.CheckCaps(c.CapAdd, c.CapDrop)
}

func (c *newContainer) fillRequire(r *sandbox.Request) (err error) {
	r.Spec.Require, err = record.ParseRequire(c.Require)
	return err
}

func (c *newContainer) fillUserNS(r *sandbox.Request) (err error) {
	r.Spec.UserNS, err = record.ParseUserNS(c.UserNS)
	return err
}

func (c *newContainer) fillPlatform(r *sandbox.Request) error {
	if c.Platform == "" {
		return nil
	}
	os, arch, variants, err := pull.Acceptable(c.Platform)
	if err != nil {
		return fmt.Errorf("--platform: %w", err)
	}
	r.Platform = &sandbox.Platform{OS: os, Architecture: arch, Variants: variants}
	return nil
}

func (c *newContainer) fillEnv(r *sandbox.Request) error {
	env, err := environment(c.EnvFile, c.Env)
	if err != nil {
		return err
	}
	var proxies []string
	if !c.Sandbox { // they may have a password in them
		proxies, err = containerProxies(dockerConfig(), env)
	}
	r.Spec.Process.Env = append(proxies, env...)
	return err
}

func (c *newContainer) fillLabels(r *sandbox.Request) error {
	r.Spec.Labels = map[string]string{}
	for _, label := range c.Label {
		key, value, _ := strings.Cut(label, "=")
		if key == "" {
			return fmt.Errorf("invalid label %q: want KEY=VALUE", label)
		}
		r.Spec.Labels[key] = value
	}
	return nil
}

func (c *newContainer) fillLimits(r *sandbox.Request) error {
	size, err := units.RAMInBytes(c.ShmSize)
	if err != nil || size <= 0 {
		return fmt.Errorf("invalid --shm-size %q: want a size such as 64m", c.ShmSize)
	}
	r.Spec.ShmSize = size
	if r.Spec.Limits.Disk, r.Spec.StorageOpt, err = parseStorageOpts(c.StorageOpt); err != nil {
		return err
	}
	for _, text := range c.Ulimit {
		limit, err := sandbox.ParseUlimit(text)
		if err != nil {
			return err
		}
		r.Spec.Ulimits = append(r.Spec.Ulimits, limit)
	}
	return nil
}

// minStorage is the least that a container may be bound to: less than that a few
// directories take, of which / is one.
const minStorage = 1 << 20

// parseStorageOpts reads Docker's size=SIZE, and returns it also as it was given; 0 is
// no limit.
func parseStorageOpts(options []string) (size int64, given map[string]string, err error) {
	for _, text := range options {
		key, value, _ := strings.Cut(text, "=")
		if key != "size" {
			return 0, nil, fmt.Errorf("invalid --storage-opt %q: rootlet knows size=SIZE", text)
		}
		if size, err = units.RAMInBytes(value); err != nil || size < minStorage {
			return 0, nil, fmt.Errorf("invalid --storage-opt %q: want a size of at least 1m, such as size=10G", text)
		}
	}
	if len(options) > 0 {
		given = map[string]string{"size": options[len(options)-1][len("size="):]}
	}
	return size, given, nil
}

func (c *newContainer) fillDevices(r *sandbox.Request) error {
	for _, text := range c.Device {
		device, err := parseDevice(text)
		if err != nil {
			return err
		}
		r.Spec.Devices = append(r.Spec.Devices, device)
	}
	return nil
}

// parseDevice reads SOURCE[:TARGET][:rwm]. Which of the three letters stand there
// makes no difference: the container may do what the user may.
func parseDevice(text string) (record.Device, error) {
	parts := strings.Split(text, ":")
	if n := len(parts); n > 1 && parts[n-1] != "" && strings.Trim(parts[n-1], "rwm") == "" {
		parts = parts[:n-1]
	}
	source, target := parts[0], parts[len(parts)-1]
	if len(parts) > 2 || !filepath.IsAbs(source) || !filepath.IsAbs(target) {
		return record.Device{}, fmt.Errorf("invalid --device %q: want /dev/NAME[:/dev/NAME][:rwm]", text)
	}
	return record.Device{Source: filepath.Clean(source), Target: filepath.Clean(target)}, nil
}

func (c *newContainer) fillRestart(r *sandbox.Request) error {
	var err error
	if r.Spec.Restart, err = record.ParseRestart(c.Restart); err != nil {
		return err
	}
	if c.Remove && r.Spec.Restart.Active() {
		return errors.New("conflicting options: cannot specify both --restart and --rm")
	}
	if c.OOMScoreAdj < -1000 || c.OOMScoreAdj > 1000 {
		return fmt.Errorf("invalid --oom-score-adj %d: want -1000 to 1000", c.OOMScoreAdj)
	}
	return nil
}

func (c *newContainer) fillLog(r *sandbox.Request) error {
	var err error
	r.Spec.Log, err = logfile.ParseOptions(c.LogDriver, c.LogOpt)
	return err
}

// maxExposed is how many ports one command may note.
const maxExposed = 1000

// fillPorts notes each port by itself, as Docker does; one that is published is
// exposed, too.
func (c *newContainer) fillPorts(r *sandbox.Request) error {
	ranges, err := parsePortRanges(c.Expose)
	if err != nil {
		return fmt.Errorf("--expose: %w", err)
	}
	for _, ports := range ranges {
		for n := int(ports.first); n <= int(ports.last); n++ {
			if len(r.Spec.ExposedPorts) == maxExposed {
				return fmt.Errorf("--expose: at most %d ports", maxExposed)
			}
			r.Spec.ExposedPorts = append(r.Spec.ExposedPorts, portOf{uint16(n), ports.protocol}.String())
		}
	}
	if r.Spec.Ports, err = publish.Parse(c.Publish); err != nil {
		return fmt.Errorf("--publish: %w", err)
	}
	r.Spec.PublishAll = c.PublishAll
	for _, m := range r.Spec.Ports {
		r.Spec.ExposedPorts = append(r.Spec.ExposedPorts, m.Port().String())
	}
	return nil
}

// fillTerminal notes the size of the window that -t makes of the terminal.
func (c *newContainer) fillTerminal(a *app) func(*sandbox.Request) error {
	return func(r *sandbox.Request) error {
		if c.TTY {
			r.Size = sandbox.TerminalSize(a.stdin)
		}
		return nil
	}
}

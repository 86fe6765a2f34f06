package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rootlet/internal/testenv"
)

// TestDay is a day's work without Docker, on real programs: a Debian container kept
// for development; nginx, redis and PostgreSQL from Debian's packages, detached, with
// volumes, looked after, crashing, upgraded and removed. See also TestDayWithOneID.
func TestDay(t *testing.T) {
	testenv.NeedSubIDs(t)
	d := newDay(t)
	t.Run("development", d.part((*day).development))
	d.services = d.makeServices("apt-get -q update && apt-get -q install -y --no-install-recommends " + packages)
	t.Run("services", d.part(func(d *day) {
		d.startServices(serviceFlags{redis: []string{"-u", "redis"}, postgres: []string{"-u", "postgres"}})
		d.lookAfterServices()
		d.crashServices()
		d.shareNetwork()
		d.upgradeServices()
		d.removeServices()
	}))
}

// day is a person at work.
type day struct {
	*person
	debian   string   // the image of a Debian root
	services string   // that with the packages
	apt      []string // flags of run, by which apt finds this machine's mirror
}

func newDay(t *testing.T) *day {
	cache := debianCache(t)
	image := pushDebian(t, filepath.Join(cache, "bookworm.tar"), dockerRegistry(t))
	d := &day{person: newPerson(t), debian: image, apt: []string{
		"-v", cache + "/sources.list:/etc/apt/sources.list:ro", "-v", cache + "/apt.conf:/etc/apt/apt.conf.d/99host:ro",
	}}
	d.rootlet("pull", "-q", image)
	return d
}

// part has a part of the day fail on its own, and leave no container.
func (d *day) part(work func(*day)) func(*testing.T) {
	return func(t *testing.T) {
		p := *d.person
		p.t = t
		defer func() {
			if !t.Failed() {
				return
			}
			for _, id := range strings.Fields(p.rootlet("ps", "-aq")) {
				stdout, stderr, _ := p.try("logs", "--tail", "10", id)
				t.Logf("%s\n%s%s", p.rootlet("ps", "-a", "-f", "id="+id), stdout, stderr)
				p.rootlet("rm", "-f", id)
			}
		}()
		work(&day{&p, d.debian, d.services, d.apt})
		if left := p.rootlet("ps", "-aq"); left != "" {
			t.Errorf("containers left: %s", left)
		}
	}
}

// development is a container that is kept.
func (d *day) development() {
	d.rootlet(append([]string{"run", "-dit", "--name", "dev", "--hostname", "dev"}, append(d.apt, d.debian)...)...)
	d.rootlet("exec", "dev", "sh", "-c", "apt-get -q update && apt-get -q install -y hello")

	// Two terminals at once, one in it and one beside it.
	inside, beside := newTerminal(d.person), newTerminal(d.person)
	inside.types("rootlet exec -it dev bash --norc")
	inside.shows(`bash-5.2#`)
	beside.types("clear; rootlet attach dev")
	inside.types("clear; hello; tty; echo mine >/root/notes")
	inside.shows(`^Hello, world!$`)
	inside.shows(`^/dev/pts/[0-9]+$`)
	beside.keys("Enter")
	beside.shows(`root@dev:/#`)
	beside.types("cat /root/notes")
	beside.shows(`^mine$`)
	beside.keys("C-p", "C-q")
	beside.shows(`# \$ *$`) // what is typed before may still be attach's
	beside.types("clear; rootlet ps --format '{{.Names}} {{.Status}}'")
	beside.shows(`^dev Up .* seconds?$`)
	inside.types("exit 5")
	inside.asks()
	inside.types("echo code $?")
	inside.shows(`^code 5$`)

	// Files go in and come out, to and from a running and a stopped one.
	home := strings.TrimPrefix(d.env[0], "HOME=")
	d.write(home+"/src/main.sh", "echo built with $(hello)\n")
	d.rootlet("cp", home+"/src", "dev:/root/")
	d.wants("built with Hello, world!\n", "exec", "-w", "/root/src", "dev", "sh", "-c", "sh main.sh | tee result")
	d.rootlet("cp", "dev:/root/src/result", home+"/result")
	if got, err := os.ReadFile(home + "/result"); err != nil || string(got) != "built with Hello, world!\n" {
		d.t.Errorf("the result is %q, %v", got, err)
	}
	d.rootlet("stop", "-t", "0", "dev")
	d.write(home+"/later", "put there while it was stopped\n")
	d.rootlet("cp", home+"/later", "dev:/root/")
	d.rootlet("start", "dev")
	d.wants("mine\nput there while it was stopped\nHello, world!\n", "exec", "dev", "sh", "-c", "cat /root/notes /root/later; hello")
	if changes := d.rootlet("diff", "dev"); !strings.Contains(changes, "A /usr/bin/hello\n") || strings.Contains(changes, "resolv.conf") {
		d.t.Errorf("diff printed\n%s", changes)
	}
	d.rootlet("rm", "-f", "dev")
}

func (d *day) write(path, content string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// wants runs a command that must print exactly this.
func (d *day) wants(want string, args ...string) {
	d.t.Helper()
	if got := d.rootlet(args...); got != want {
		d.t.Errorf("rootlet %s: printed %q, want %q", strings.Join(args, " "), got, want)
	}
}

// packages are the three services, and curl to look at one of them.
const packages = "nginx-light redis-server postgresql curl"

// makeServices makes an image of what a line of shell installs.
func (d *day) makeServices(install string) string {
	d.t.Helper()
	const image = "services:1"
	const tidy = `; code=$?; apt-get clean; rm -rf /var/lib/apt/lists/*; ln -sf /dev/stdout /var/log/nginx/access.log; exit $code`
	_, stderr, code := d.try(append([]string{"run", "--name", "build"}, append(d.apt, d.debian, "sh", "-c", install+tidy)...)...)
	if code != 0 {
		d.t.Fatalf("apt-get: exit code %d\n%s\n%s", code, stderr, d.rootlet("logs", "--tail", "30", "build"))
	}
	if id := d.rootlet("commit", "-m", "the three", "-c", "LABEL made=by-hand", "build", image); !strings.HasPrefix(id, "sha256:") {
		d.t.Errorf("commit printed %q", id)
	}
	d.rootlet("rm", "build")
	return image
}

// serviceFlags are flags of run that hang on which ids there are, and what else
// the programs need then.
type serviceFlags struct {
	redis, postgres []string
	nginx           string
}

// The data directory is below the volume's, whose copy-up brings Debian's cluster.
const (
	postgresProgram = "/usr/lib/postgresql/15/bin/postgres"
	clusterData     = "/var/lib/postgresql/15/main"
	clusterConfig   = "-c config_file=/etc/postgresql/15/main/postgresql.conf"
)

// startServices runs all three, each with a volume, a probe and a policy.
func (d *day) startServices(flags serviceFlags) {
	d.t.Helper()
	probed := func(name, probe, policy string) []string {
		return []string{"run", "-d", "--name", name, "--restart", policy, "--health-cmd", probe, "--health-interval", "500ms"}
	}
	d.rootlet(append(append(probed("cache", "redis-cli ping | grep PONG", "always"), flags.redis...),
		"-v", "cachedata:/var/lib/redis", d.services,
		"redis-server", "--dir", "/var/lib/redis", "--appendonly", "yes", "--enable-debug-command", "yes")...)
	d.rootlet(append(append(probed("db", "pg_isready -q -d postgres", "unless-stopped"), flags.postgres...),
		"-v", "dbdata:/var/lib/postgresql", "--stop-signal", "INT", d.services,
		"sh", "-c", "exec "+postgresProgram+" -D "+clusterData+" "+clusterConfig)...)
	d.rootlet(append(probed("web", "curl -fs -o /dev/null http://127.0.0.1/", "on-failure:5"),
		"-v", "pages:/var/www/html", "--stop-signal", "QUIT", d.services,
		"nginx", "-g", "daemon off; error_log stderr; "+flags.nginx)...)
	d.healthy("cache", "db", "web")
}

// healthy waits until the containers' probes succeed.
func (d *day) healthy(names ...string) {
	d.t.Helper()
	for _, name := range names {
		until(d.t, name+" is healthy", func() bool {
			return d.rootlet("inspect", "-f", "{{.State.Status}} {{.State.Health.Status}}", name) == "running healthy\n"
		})
	}
	for _, line := range lines(d.rootlet("ps", "--format", "{{.Names}} {{.Status}}")) {
		if !strings.Contains(line, "(healthy)") {
			d.t.Errorf("ps says %q", line)
		}
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// lookAfterServices is what one does with services that run well.
func (d *day) lookAfterServices() {
	home := strings.TrimPrefix(d.env[0], "HOME=")
	following, inside := newTerminal(d.person), newTerminal(d.person)
	following.types("clear; rootlet logs -f web")
	d.write(home+"/index.html", "<h1>by hand</h1>\n")
	d.rootlet("cp", home+"/index.html", "web:/var/www/html/")
	d.wants("<h1>by hand</h1>\n", "exec", "web", "curl", "-s", "http://127.0.0.1/?first")
	following.shows(`"GET /\?first HTTP/1.1" 200 17`)
	if _, stderr, code := d.try("exec", "web", "nginx", "-t"); code != 0 || !strings.Contains(stderr, "syntax is ok") {
		d.t.Errorf("nginx -t: %d, %s", code, stderr)
	}

	inside.types("clear; rootlet exec -it db psql -d postgres")
	inside.shows(`^postgres=#`)
	inside.types(`create table days (name text); insert into days values ('monday'); select * from days;`)
	inside.shows(`^ monday$`)
	inside.types(`\q`)
	inside.asks()
	inside.types("clear; rootlet exec -it cache redis-cli")
	inside.shows(`^127.0.0.1:6379>`)
	inside.types("set day monday")
	inside.shows(`^OK$`)
	inside.keys("C-d")

	if stats := lines(d.rootlet("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}")); len(stats) != 3 {
		d.t.Errorf("stats printed %q", stats)
	}
	if top := d.rootlet("top", "db"); !strings.Contains(top, " checkpointer") {
		d.t.Errorf("top printed\n%s", top)
	}
	d.wants("volume cachedata /var/lib/redis true\n", "inspect", "-f",
		"{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}", "cache")
	if log := d.rootlet("logs", "--tail", "20", "db"); !strings.Contains(log, "ready to accept connections") {
		_, stderr, _ := d.try("logs", "--tail", "20", "db")
		if !strings.Contains(stderr, "ready to accept connections") {
			d.t.Errorf("the log of PostgreSQL is\n%s%s", log, stderr)
		}
	}

	d.rootlet("restart", "web")
	d.healthy("web")
	d.wants("<h1>by hand</h1>\n", "exec", "web", "curl", "-s", "http://127.0.0.1/?second")
	following.keys("Enter") // back at its shell: a log that is followed ends with the container, as Docker's
	d.wants("1\n", "exec", "cache", "sh", "-c", "redis-cli exists day")
}

// crashServices ends programs and monitors from within and without.
func (d *day) crashServices() {
	// A crash of its own, from within.
	before := d.pid("cache")
	_, _, _ = d.try("exec", "cache", "redis-cli", "debug", "segfault")
	until(d.t, "redis is back", func() bool { pid := d.pid("cache"); return pid != before && pid != 0 })
	d.healthy("cache")
	d.wants("monday\n", "exec", "cache", "redis-cli", "get", "day")
	d.wants("1\n", "inspect", "-f", "{{.RestartCount}}", "cache")

	// PostgreSQL's immediate shutdown is a crash, from which it recovers.
	before = d.pid("db")
	d.rootlet("exec", "db", "sh", "-c", "kill -QUIT 1")
	until(d.t, "PostgreSQL is back", func() bool { pid := d.pid("db"); return pid != before && pid != 0 })
	d.healthy("db")
	d.wants("monday\n", "exec", "db", "psql", "-d", "postgres", "-Atc", "select name from days")

	// kill -9 from without.
	before = d.pid("web")
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	until(d.t, "nginx is back", func() bool { pid := d.pid("web"); return pid != before && pid != 0 })
	d.healthy("web")

	// The monitor's end is the container's; what was written is still there.
	monitor := parentOf(d.t, d.pid("web"))
	if err := syscall.Kill(monitor, syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	until(d.t, "ps knows", func() bool {
		return d.rootlet("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web") == "exited 137\n"
	})
	d.rootlet("start", "web")
	d.healthy("web")
	d.wants("<h1>by hand</h1>\n", "exec", "web", "curl", "-s", "http://127.0.0.1/")

	// Who is stopped stays so, and docker kill is a stop, whatever the policy.
	d.rootlet("kill", "cache")
	d.wants("exited\n", "inspect", "-f", "{{.State.Status}}", "cache")
	d.rootlet("start", "cache")
	d.healthy("cache")
}

func (d *day) pid(name string) int {
	d.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(d.rootlet("inspect", "-f", "{{.State.Pid}}", name)))
	if err != nil {
		d.t.Fatal(err)
	}
	return pid
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // proc_pid_stat(5): pid (comm) state ppid
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}

// shareNetwork puts services that run on one network, where clients find them by name.
func (d *day) shareNetwork() {
	d.rootlet("network", "create", "shop")
	d.rootlet("exec", "db", "sh", "-c", `cd /etc/postgresql/15/main && echo "listen_addresses = '*'" >>postgresql.conf && echo "host all all samenet trust" >>pg_hba.conf`)
	d.rootlet("network", "connect", "--alias", "data", "shop", "db")
	d.rootlet("network", "connect", "shop", "web")
	d.rootlet("restart", "db")
	d.healthy("db")
	client := []string{"run", "--rm", "--network", "shop", "-u", "nobody", d.services}
	query := []string{"-U", "postgres", "-d", "postgres", "-Atc", "select name from days"}
	for _, name := range []string{"db", "data"} {
		d.wants("monday\n", slices.Concat(client, []string{"psql", "-h", name}, query)...)
	}
	d.wants("<h1>by hand</h1>\n", append(client, "curl", "-s", "http://web/")...)
	d.rootlet("network", "disconnect", "shop", "db")
	if _, stderr, code := d.try(slices.Concat(client, []string{"psql", "-h", "db"}, query)...); code != 2 || !strings.Contains(stderr, "could not translate host name") {
		d.t.Errorf("the database is found where it is no more: %d, %s", code, stderr)
	}
	d.rootlet("network", "disconnect", "shop", "web")
	d.wants("shop\n", "network", "rm", "shop")
}

// upgradeServices changes one, makes an image of it, and has that take over the
// volume.
func (d *day) upgradeServices() {
	d.rootlet("exec", "db", "sh", "-c", "echo 'log_min_duration_statement = 0' >>/etc/postgresql/15/main/postgresql.conf")
	user := strings.TrimSpace(d.rootlet("inspect", "-f", "{{.Config.User}}", "db"))
	keep := strings.TrimSpace(d.rootlet("inspect", "-f", "{{.HostConfig.UsernsMode}}", "db"))
	d.rootlet("stop", "db")
	d.wants("0\n", "inspect", "-f", "{{.State.ExitCode}}", "db")
	d.rootlet("commit", "-m", "slow statements", "db", "services:2")
	d.rootlet("rm", "db")
	run := []string{"run", "-d", "--name", "db", "-v", "dbdata:/var/lib/postgresql", "--health-cmd", "pg_isready -q -d postgres", "--health-interval", "500ms"}
	if user != "" {
		run = append(run, "-u", user)
	}
	if keep != "" {
		run = append(run, "--userns", keep)
	}
	d.rootlet(append(run, "services:2")...) // the command is the image's by now
	d.healthy("db")
	d.wants("monday\n", "exec", "db", "psql", "-d", "postgres", "-Atc", "select name from days")
	until(d.t, "the new setting shows", func() bool {
		stdout, stderr, _ := d.try("logs", "db")
		return strings.Contains(stdout+stderr, "select name from days")
	})
}

// removeServices leaves nothing, as the test of leaks sees once all is over.
func (d *day) removeServices() {
	for _, line := range lines(d.rootlet("stop", "web", "cache", "db")) {
		d.wants("exited 0\n", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", line)
	}
	d.rootlet("rm", "web", "cache", "db")
	d.wants("cachedata\ndbdata\npages\n", "volume", "ls", "-q")
	d.rootlet("volume", "rm", "pages", "cachedata", "dbdata")
	d.rootlet("rmi", "services:2", "services:1")
	d.wants(d.debian+"\n", "images", "--format", "{{.Repository}}:{{.Tag}}")
}

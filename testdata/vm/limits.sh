#!/usr/bin/env bash
# Shows that limits hold, on a host that runs systemd and gives its users cgroups of
# version 2: as a user in a login session, `limits.sh ROOTLET`, with busybox-static
# installed. Prints what it sees, and exits 1 where something is not as it should be.
# `make limits` runs it on this host; it makes no container outside of a store of its own.
set -u
export PATH="$(dirname "$(readlink -f "$1")"):$PATH"
work=$(mktemp -d); export XDG_DATA_HOME=$work/data; bad=0
trap 'rootlet rm -f $(rootlet ps -aq) >/dev/null 2>&1; rootlet system prune -af >/dev/null 2>&1; rm -rf "$work"' EXIT

# is WHAT GOT PATTERN
is() {
  if [[ "$2" =~ ^$3$ ]]; then echo "ok    $1: $2"; else echo "FAIL  $1: $2, want $3"; bad=1; fi
}
# between WHAT GOT LOW HIGH
between() {
  if awk -v n="$2" -v l="$3" -v h="$4" 'BEGIN { exit !(n + 0 >= l && n + 0 <= h) }'; then echo "ok    $1: $2"; else echo "FAIL  $1: $2, want $3 to $4"; bad=1; fi
}
# used NAME: microseconds of processor time that its cgroup counts
used() { awk '/^usage_usec/ { print $2 }' "$(group "$1")/cpu.stat"; }
group() { echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(rootlet inspect -f '{{.State.Pid}}' "$1")/cgroup")"; }
# percent NAME SECONDS: of one processor, by the cgroup's own count
percent() { local a b; a=$(used "$1"); sleep "$2"; b=$(used "$1"); echo $(((b - a) / 10000 / $2)); }
field() { rootlet inspect -f "$2" "$1"; }

mkdir -p "$work/root/bin"; cp /bin/busybox "$work/root/bin/"
for applet in sh sleep tail cat wc ls true mkdir mount; do ln -s busybox "$work/root/bin/$applet"; done
tar -C "$work/root" -c . | rootlet import - bb >/dev/null || exit 1
echo "host: $(uname -r), $(systemctl --version | head -1)"
rootlet info | sed -n '/^ Limits/,/^ [A-Z]/p' | head -2
rootlet doctor 2>/dev/null | grep -A3 ' limits '

echo "--- a memory hog"
rootlet run --name hog -m 48m bb sh -c 'tail /dev/zero' 2>&1; is "exit status" $? 137
is OOMKilled "$(field hog '{{.State.OOMKilled}} {{.State.ExitCode}}')" "true 137"
is "held by" "$(field hog '{{.State.LimitedBy.memory.By}}')" "cgroup v2, in a scope of systemd's"
is "the event" "$(rootlet events --since 1h --until 0s --filter event=oom --format '{{.Action}} {{.Actor.Attributes.name}}')" "oom hog"
rootlet run --name child -m 48m bb sh -c 'tail /dev/zero; echo the shell goes on' 2>&1 | tail -1
is "OOMKilled of a child's end" "$(field child '{{.State.OOMKilled}} {{.State.ExitCode}}')" "true 0"
is "enough memory, no kill" "$(rootlet run --rm -m 64m bb sh -c 'echo fine')" fine

echo "--- a fork bomb"
rootlet run -d --name bomb --pids-limit 20 bb sh -c 'f() { f | f & }; f; sleep 60' >/dev/null 2>&1
sleep 8
between "processes" "$(cat "$(group bomb)/pids.current")" 1 20
is "held at" "$(cat "$(group bomb)/pids.max")" 20
between "stats PIDS" "$(rootlet stats --no-stream --format '{{.PIDs}}' bomb)" 1 20
rootlet rm -f bomb >/dev/null; is "it can be removed" $? 0

echo "--- a busy loop"
rootlet run -d --name loop --cpus 0.2 -m 64m --cpu-shares 512 bb sh -c 'while :; do :; done' >/dev/null
sleep 2; between "percent at --cpus 0.2" "$(percent loop 10)" 15 25
is "cpu.weight of 512 shares" "$(cat "$(group loop)/cpu.weight")" 59
rootlet stats --no-stream loop
between "stats CPU %" "$(rootlet stats --no-stream --format '{{.CPUPerc}}' loop)" 10 32
is "stats' limit" "$(rootlet stats --no-stream --format '{{.MemUsage}}' loop)" '.* / 64MiB'

echo "--- update"
is "update" "$(rootlet update --cpus 0.5 -m 96m --pids-limit 50 loop 2>&1)" loop
is "cpu.max" "$(cat "$(group loop)/cpu.max")" "50000 100000"
is "memory.max" "$(cat "$(group loop)/memory.max")" 100663296
is "pids.max" "$(cat "$(group loop)/pids.max")" 50
between "percent at --cpus 0.5" "$(percent loop 10)" 40 60

echo "--- exec and health checks are inside"
in=$(rootlet exec loop cat /proc/self/cgroup); is "exec's group, seen from inside" "$in" '0::/'
rootlet exec loop sleep 30 & sleep 4
is "processes in it, with exec's" "$(wc -l <"$(group loop)/cgroup.procs")" '[2-9]'
is "exec in a terminal of a memory hog" "$(rootlet exec loop sh -c 'tail /dev/zero'; echo $?)" 137

echo "--- pause"
rootlet pause loop; is "frozen" "$(awk '/^frozen/ { print $2 }' "$(group loop)/cgroup.events")" 1
between "percent while paused" "$(percent loop 3)" 0 0
rootlet unpause loop; between "percent after" "$(percent loop 3)" 30 70

echo "--- restart, and the end"
rootlet restart -t 0 loop >/dev/null; is "memory.max in its next life" "$(cat "$(group loop)/memory.max")" 100663296
scope=$(dirname "$(group loop)"); is "its scope" "$scope" '.*/rootlet-[0-9a-f]*\.scope'
kill -KILL "$(awk '{ print $4 }' "/proc/$(field loop '{{.State.Pid}}')/stat")"; wait 2>/dev/null; sleep 3
is "the scope of a monitor that was killed" "$(ls -d "$scope" 2>/dev/null)" ""
is "and its container" "$(field loop '{{.State.Status}}')" exited
is "started again" "$(rootlet start loop)" loop
is "memory.max then" "$(cat "$(group loop)/memory.max")" 100663296
rootlet rm -f loop >/dev/null

echo "--- a sandbox, and who has no limits"
rootlet run -d --name box --sandbox bb sleep 60 >/dev/null
is "a sandbox's memory.max" "$(cat "$(group box)/memory.max")" 2147483648
is "and pids.max" "$(cat "$(group box)/pids.max")" 1024
rootlet run -d --name free bb sleep 60 >/dev/null
echo "    what a start takes: $(for i in 1 2 3; do rootlet run --rm bb true; b=$(date +%s%N); rootlet run --rm bb true; m=$(date +%s%N); rootlet run --rm -m 64m bb true; echo "$(((m - b) / 1000000)) ms without, $((($(date +%s%N) - m) / 1000000)) ms with limits;"; done)"
is "no scope without limits" "$(group free)" '.*/session-[0-9]*\.scope'
rootlet update -m 64m free
is "a limit on what ran without" "$(field free '{{.State.LimitedBy.memory.By}}') $(cat "$(group free)/memory.max")" "cgroup v2, in a scope of systemd's 67108864"
is "its processes are in there" "$(wc -l <"$(group free)/cgroup.procs")" 1

is "a container with every capability cannot lift it" "$(rootlet run --rm --privileged -m 64m bb sh -c 'mkdir /m; mount -t cgroup2 none /m && echo mounted; echo max 2>/dev/null >/m/memory.max; cat /m/memory.max' 2>/dev/null | tail -1)" 67108864

echo "--- what cannot be had is said"
rootlet run --rm -m 64m --oom-kill-disable bb true 2>&1
is "oom-kill-disable" "$(rootlet run --rm -m 64m --oom-kill-disable bb true 2>&1)" ".*version 2 have no such thing.*"
is "without a bus" "$(DBUS_SESSION_BUS_ADDRESS=unix:path=/none rootlet run --rm -m 64m bb true 2>&1)" '.*--memory does not hold: no scope of your systemd.*'
began=$(date +%s%N)
systemd-socket-activate --accept -l "$work/deaf" sleep 60 >/dev/null 2>&1 & deaf=$!
until [ -S "$work/deaf" ]; do sleep 0.2; done
is "a bus that hangs" "$(DBUS_SESSION_BUS_ADDRESS=unix:path=$work/deaf rootlet run --rm -m 64m bb true 2>&1)" '.*--memory does not hold.*'
kill $deaf 2>/dev/null
echo "    after $((($(date +%s%N) - began) / 1000000)) ms"
rootlet rm -f box free >/dev/null; sleep 2

echo "--- a directory that is the user's, without a bus"
cat >"$work/inside.sh" <<'IN'
export DBUS_SESSION_BUS_ADDRESS=unix:path=/none
rootlet run -d --name dir -m 48m --cpus 0.5 bb sleep 60
rootlet inspect -f '{{.State.LimitedBy.memory.By}}' dir
cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$(rootlet inspect -f '{{.State.Pid}}' dir)/cgroup)/memory.max
rootlet exec dir cat /proc/self/cgroup
rootlet run --name dirhog -m 16m bb tail /dev/zero; rootlet inspect -f '{{.State.OOMKilled}}' dirhog
rootlet rm -f dir dirhog
ls -d /sys/fs/cgroup$(dirname "$(sed -n 's/^0:://p' /proc/self/cgroup)")/rootlet-[0-9a-f]* 2>/dev/null | wc -l
IN
said=$(systemd-run --user --scope -q -p Delegate=yes bash "$work/inside.sh" 2>&1); echo "$said"
is "all in all" "$(tail -n +2 <<<"$said" | tr '\n' ' ')" "cgroup v2 50331648 0::/ true dir dirhog 0 "
is "scopes left" "$(systemctl --user list-units --no-legend 'rootlet-*' | wc -l)" 0
exit $bad

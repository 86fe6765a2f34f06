package cli

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"rootlet/sandbox/stats"
)

// ownTable is what `ps -ef` would print, for a host that has no ps.
func ownTable(pids []int, now time.Time) ([][]string, error) {
	boot, err := stats.Boot(now)
	if err != nil {
		return nil, err
	}
	table := [][]string{{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}}
	slices.Sort(pids)
	for _, pid := range pids {
		p, err := stats.ReadProcess(pid)
		if err != nil {
			continue // it has ended meanwhile
		}
		began := boot.Add(p.Start)
		table = append(table, []string{
			strconv.Itoa(p.UID), strconv.Itoa(p.PID), strconv.Itoa(p.PPID), strconv.Itoa(share(p.CPU, now.Sub(began))),
			startTime(began, now), terminalName(p.TTY), clock(p.CPU), p.Line(),
		})
	}
	return table, nil
}

// share is how much of one processor a process has used in its life, in percent.
func share(used, life time.Duration) int {
	if life <= 0 {
		return 0
	}
	return int(100 * used / life)
}

// startTime is the time of day, or for a process of another day the date.
func startTime(began, now time.Time) string {
	if now.Sub(began) < 24*time.Hour {
		return began.Local().Format("15:04")
	}
	return began.Local().Format("Jan02")
}

func clock(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// terminalName is what a process's terminal goes by. 136 to 143 are the majors of
// pseudoterminals (proc(5), tty_nr).
func terminalName(device int) string {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	if major >= 136 && major <= 143 {
		return "pts/" + strconv.Itoa((major-136)<<8+minor)
	}
	return "?"
}

package watch

import "time"

// Tasks counts processes and threads. It stops where there are more than limit.
func (p *Processes) Tasks(limit int) (int, error) {
	all, err := p.All()
	n := 0
	for _, process := range all {
		if n > limit {
			break
		}
		n += len(p.Threads(process))
	}
	return n, err
}

// TasksWait is how long until they are counted again. A program makes some ten thousand in
// a second.
func TasksWait(n, limit int) time.Duration {
	const perTask = 100 * time.Microsecond
	return min(max(time.Duration(limit-n)*perTask, quietSoonest/2), memoryLatest)
}

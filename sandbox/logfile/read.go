package logfile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Read calls each with every record of the log in a container's directory, in
// order. A container that has written nothing has an empty log. A last record
// that is cut short, as by a power cut, is left out; a damaged one in between
// is an error.
func Read(dir string, each func(Line) error) error {
	f, err := os.Open(filepath.Join(dir, Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	records := bufio.NewReaderSize(f, 64<<10)
	for number := 1; ; number++ {
		record, err := records.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var l Line
		if err := json.Unmarshal(record, &l); err != nil {
			return fmt.Errorf("log record %d is damaged: %w", number, err)
		}
		if err := each(l); err != nil {
			return err
		}
	}
}

// Tail returns the last n lines of the log. A line may be several records, of
// which only the last ends in a newline.
func Tail(dir string, n int) ([]Line, error) {
	var kept []Line
	var starts []int // where, in kept, each line begins
	open := map[Stream]bool{}
	err := Read(dir, func(l Line) error {
		if !open[l.Stream] {
			starts = append(starts, len(kept))
		}
		open[l.Stream] = len(l.Log) > 0 && l.Log[len(l.Log)-1] != '\n'
		kept = append(kept, l)
		if len(starts) > 2*n+1 {
			cut := starts[len(starts)-n-1]
			kept = append([]Line(nil), kept[cut:]...)
			starts = append([]int(nil), starts[len(starts)-n-1:]...)
			for i := range starts {
				starts[i] -= cut
			}
		}
		return nil
	})
	if n < len(starts) {
		from := len(kept)
		if n > 0 {
			from = starts[len(starts)-n]
		}
		kept = kept[from:]
	}
	return kept, err
}

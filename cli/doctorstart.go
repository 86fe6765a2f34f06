package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"rootlet/cli/doctor"
)

// helloWait is how long a container of the built-in image may take.
const helloWait = time.Minute

// tryStart runs the built-in image as the user would. It is taken away again
// where it was not there before.
func (a *app) tryStart(found probed) doctor.Start {
	program, err := os.Executable()
	if err != nil {
		return doctor.Start{Err: err.Error()}
	}
	if found.pathsErr == nil {
		if _, err := view(found.paths).Find(helloFullName); err != nil {
			// The first run also installs it, which is not its time to start.
			if first := a.hello(program); first.Err != "" {
				return first
			}
			// By this process: a command of its own would tell of the ids, once a day, to nobody.
			defer func() {
				_ = a.have(found.plan, work{Paths: found.paths, Rmi: &rmiWork{Name: helloFullName, Given: helloName}}, nil, new(removedImage))
			}()
		}
	}
	return a.hello(program)
}

// hello runs it once.
func (a *app) hello(program string) doctor.Start {
	began := time.Now()
	output, err := a.ownCommand(program, "run", "--rm", "--quiet", helloName)
	if err != nil {
		return doctor.Start{Err: err.Error()}
	}
	return doctor.Start{First: helloStart(string(output)), InAll: time.Since(began)}
}

// helloStart is what the program says about its start.
func helloStart(output string) time.Duration {
	for line := range strings.Lines(output) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "start" {
			took, _ := time.ParseDuration(words[1] + words[2])
			return took
		}
	}
	return 0
}

// ownCommand runs rootlet as the user does, with the storage driver that he gave.
func (a *app) ownCommand(program string, words ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helloWait)
	defer cancel()
	if a.storageDriver != "" {
		words = append([]string{"--storage-driver", a.storageDriver}, words...)
	}
	if a.layersDir != "" {
		words = append([]string{layersDirFlag, a.layersDir}, words...)
	}
	c := exec.CommandContext(ctx, program, words...)
	c.WaitDelay = time.Second
	output, err := c.CombinedOutput()
	if err == nil {
		return output, nil
	}
	if ctx.Err() != nil {
		err = errors.New("it took longer than " + helloWait.String())
	}
	return output, printedError(output, err)
}

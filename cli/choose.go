package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// chosen is the command that a command line names.
type chosen struct {
	command
	path string   // as typed: "rootlet container ls"
	at   []string // the same by their first names, without rootlet: container, ls
	args []string // what follows

	help          bool
	version       bool
	storageDriver string
	layersDir     string
	imageStores   []string
}

const (
	imageStoreFlag    = "--image-store"
	layersDirFlag     = "--layers-dir"
	storageDriverFlag = "--storage-driver"
)

// ownFlags are those of rootlet itself, which may stand before the command, too, and
// outside its table in the configuration.
var ownFlags = []string{imageStoreFlag, layersDirFlag, storageDriverFlag}

// taker is what takes the value of a flag of rootlet itself, nil for another.
func (c *chosen) taker(name string) func(value string) {
	switch name {
	case imageStoreFlag:
		return func(value string) { c.imageStores = append(c.imageStores, value) }
	case layersDirFlag:
		return func(value string) { c.layersDir = value }
	case storageDriverFlag:
		return func(value string) { c.storageDriver = value }
	}
	return nil
}

// choose walks the words up to the command. The flags before it are those of
// rootlet itself.
func choose(all []command, args []string) (chosen, error) {
	c := chosen{command: command{children: all}, path: "rootlet"}
	for len(args) > 0 && c.form == nil {
		word := args[0]
		args = args[1:]
		name, value, inWord := strings.Cut(word, "=")
		put := c.taker(name)
		switch {
		case word == "--help" || word == "-h" || word == "help" && c.path == "rootlet":
			c.help = true
		case (word == "--version" || word == "-v") && c.path == "rootlet":
			c.version = true
			return c, nil
		case put != nil:
			if !inWord {
				if len(args) == 0 {
					return c, usage(c.path, "flag %s needs a value", name)
				}
				value, args = args[0], args[1:]
			}
			put(value)
		case strings.HasPrefix(word, "-"):
			return c, usage(c.path, "unknown flag %s%s", name, nearest(name, append([]string{"--help", "--version"}, ownFlags...)))
		default:
			next, ok := find(c.children, word)
			if !ok {
				return c, usage(c.path, "unknown command %q%s", word, nearest(word, names(c.children)))
			}
			c.command, c.path, c.at = next, c.path+" "+word, append(c.at, next.name)
		}
	}
	c.args = args
	return c, nil
}

// names are the words that a user may have meant.
func names(all []command) []string {
	var list []string
	for _, c := range all {
		list = append(list, c.name)
	}
	return list
}

// list prints the commands of rootlet, or of a noun.
func (c chosen) list(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s COMMAND\n\n", c.path)
	if c.command.help == "" {
		b.WriteString("Containers without root and without a daemon: Docker's commands, in one file.\n\n")
	} else {
		b.WriteString(c.command.help + ".\n\n")
	}
	for _, group := range []struct {
		title string
		in    func(command) bool
	}{
		{"Common commands", func(c command) bool { return c.daily }},
		{"Commands", func(c command) bool { return !c.daily && c.form != nil }},
		{"Management commands", func(c command) bool { return c.form == nil }},
	} {
		writeGroup(&b, group.title, slices.DeleteFunc(slices.Clone(c.children), func(child command) bool { return !group.in(child) }))
	}
	if c.path == "rootlet" {
		b.WriteString("Flags:\n" +
			"      --image-store DIR        Use the images in DIR, which others keep, too; may be given again\n" +
			"      --layers-dir DIR         Where layers are unpacked ($ROOTLET_LAYERS_DIR)\n" +
			"      --storage-driver DRIVER  native, fuse-overlayfs or copy ($ROOTLET_STORAGE_DRIVER)\n" +
			"  -h, --help                   Show help\n" +
			"  -v, --version                Show the version\n" +
			"\nTry:\n  rootlet run hello\n  rootlet run --rm -it debian bash\n\n")
	}
	fmt.Fprintf(&b, "Run `%s COMMAND --help` for the flags of a command.\n", c.path)
	_, err := io.WriteString(out, b.String())
	return err
}

func writeGroup(b *strings.Builder, title string, group []command) {
	if len(group) == 0 {
		return
	}
	b.WriteString(title + ":\n")
	for _, c := range group {
		fmt.Fprintf(b, "  %-10s %s\n", c.name, c.help)
	}
	b.WriteString("\n")
}

// usageError is a command line that makes no sense; Docker answers any of them
// with 125.
type usageError struct{ message, command string }

func usage(command, format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...), command: command}
}

func (e *usageError) Error() string { return e.message }

// Hint says where the flags are explained.
func (e *usageError) Hint() string { return fmt.Sprintf("see `%s --help`", e.command) }

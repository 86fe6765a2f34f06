package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"rootlet/fuseoverlay"
	"rootlet/sandbox"
)

// globalFlags may stand after the command as well as before it.
type globalFlags struct {
	ImageStore    []string `name:"image-store" env:"ROOTLET_IMAGE_STORE" sep:":" placeholder:"DIR" group:"global" help:"Use the images in this directory, which others keep, too; may be given again."`
	LayersDir     string   `name:"layers-dir" env:"ROOTLET_LAYERS_DIR" placeholder:"DIR" group:"global" help:"Where layers are unpacked: on a disk of this host; chosen by itself if not given."`
	StorageDriver string   `name:"storage-driver" env:"ROOTLET_STORAGE_DRIVER" placeholder:"DRIVER" group:"global" help:"native, fuse-overlayfs or copy; the best that works here if not given."`
}

// run parses a command's own words and runs it.
func (c chosen) run(a *app) error {
	target := c.form()
	if startsOne(target) && !c.help {
		a.catchSignalsSoon()
		// A host that does not allow it says so again when it is needed.
		a.spare, _ = sandbox.Prepare()
		defer func() { a.spare.Discard() }()
	}
	a.config, a.configErr = readConfig(configPath(), commands())
	helped, err := c.parse(a, target)
	if helped || err != nil {
		return err
	}
	return target.Run(a)
}

// unconfigured reports whether a command is of use where the user's configuration
// is wrong: it tells about that, or has no use for it.
func unconfigured(target runner) bool {
	switch target.(type) {
	case *infoCmd, *doctorCmd, *versionCmd, *completionCmd:
		return true
	}
	return false
}

// startsOne reports whether a command will need a monitor.
func startsOne(target runner) bool {
	switch target.(type) {
	case *runCmd, *createCmd, *startCmd:
		return true
	}
	return false
}

// parse reads the command's words into target, or prints its help.
func (c chosen) parse(a *app, target runner) (helped bool, err error) {
	parser, global, err := c.model(a, target, func(int) { helped = true })
	if err != nil {
		return false, err
	}
	s := speller{flags: parser.Model.Flags, positional: parser.Model.Positional, command: c.path}
	if s.byLetter('h') != parser.Model.HelpFlag {
		parser.Model.HelpFlag.Short = 0 // Docker's -h of run is --hostname
	}
	words, help, err := s.spell(append(c.storeWords(), c.args...))
	if c.help || help {
		words, err = []string{"--help"}, nil
	}
	if err != nil {
		return false, err
	}
	if a.configErr != nil && words[0] != "--help" && !unconfigured(target) {
		return false, &engineError{a.configErr}
	}
	if _, err := parser.Parse(words); err != nil && !helped {
		return false, usage(c.path, "%v", err)
	}
	a.setImageStores(global.ImageStore)
	if a.storageDriver == "" {
		a.storageDriver = global.StorageDriver
	}
	if a.layersDir == "" {
		a.layersDir = global.LayersDir
	}
	if helped {
		return true, nil
	}
	if a.layersDir != "" && !filepath.IsAbs(a.layersDir) {
		return false, usage(c.path, "layers directory %q: an absolute path is wanted", a.layersDir)
	}
	switch a.storageDriver {
	case "", fuseoverlay.Native, fuseoverlay.FuseOverlayfs, fuseoverlay.Copy:
		return false, nil
	}
	return false, usage(c.path, "unknown storage driver %q: native, fuse-overlayfs or copy", a.storageDriver)
}

// storeWords are the flags before the command that name image stores: with those that
// come after it they stand for those of the configuration.
func (c chosen) storeWords() []string {
	var words []string
	for _, dir := range c.imageStores {
		words = append(words, imageStoreFlag+"="+dir)
	}
	return words
}

// model is the command's grammar, with the flags that every command has. exit is
// called where help was printed.
func (c chosen) model(a *app, target runner, exit func(int)) (*kong.Kong, *globalFlags, error) {
	var global globalFlags
	options := []kong.Option{
		kong.Name(c.path),
		kong.Description(c.command.help + "."),
		kong.Embed(&global),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{{Key: "global", Title: "Flags of every command:"}}),
		kong.Help(c.explain),
		kong.Writers(a.stdout, a.out),
		kong.Exit(exit),
	}
	if a.config.path != "" && a.configErr == nil {
		options = append(options, kong.Resolvers(a.config.defaults(commands(), c.at)))
	}
	parser, err := kong.New(target, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("command line: %w", err)
	}
	return parser, &global, nil
}

// explain prints a command's help: how it is called, as Docker words it, then
// what Kong says of its arguments and flags.
func (c chosen) explain(options kong.HelpOptions, context *kong.Context) error {
	line := "Usage: " + c.path + " [FLAGS]"
	for _, p := range context.Model.Positional {
		word := strings.ToUpper(p.Name)
		if p.IsCumulative() {
			word += "..."
		}
		if !p.Required {
			word = "[" + word + "]"
		}
		line += " " + word
	}
	if _, err := fmt.Fprintln(context.Stdout, line); err != nil {
		return err
	}
	options.NoAppSummary = true
	return kong.DefaultHelpPrinter(options, context)
}

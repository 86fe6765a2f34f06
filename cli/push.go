package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"rootlet/pull"
	"rootlet/pull/registries"
	"rootlet/pull/registry"
	"rootlet/pull/transport"
	"rootlet/sandbox"
	"rootlet/sandbox/events"
)

// pushCmd is `rootlet push`. The blobs are files of the user's own: it needs no
// namespace and no worker.
type pushCmd struct {
	Image       string `arg:"" help:"Image to send: a name or an id."`
	Destination string `arg:"" optional:"" help:"Where to, if not to where the name says: a name, or a transport."`
	AllTags     bool   `name:"all-tags" short:"a" help:"All tags of the repository."`
	Quiet       bool   `name:"quiet" short:"q" help:"No progress, and no layers."`
	Compression string `name:"compression-format" enum:",gzip,zstd" default:"" placeholder:"HOW" help:"gzip or zstd for the layers; as they came if not given."`
	Level       int    `name:"compression-level" placeholder:"N" help:"1 is fastest."`
	Force       *bool  `name:"force-compression" help:"Compress layers anew that are compressed otherwise; so with a format."`
	DigestFile  string `name:"digestfile" placeholder:"FILE" help:"Write the manifest's digest to a file."`
	TLSVerify   *bool  `name:"tls-verify" help:"Check the registry's certificate."`
}

// Run sends the images and prints what became of their layers.
func (c *pushCmd) Run(a *app) error {
	a.quiet = c.Quiet
	if c.Level < 0 || c.Level > 22 || c.Level > 9 && c.Compression != "zstd" {
		return fmt.Errorf("--compression-level %d: 1 to 9 for gzip, 1 to 22 for zstd", c.Level)
	}
	paths, err := findPaths()
	if err != nil {
		return err
	}
	store, err := a.openKept(paths)
	if err != nil {
		return err
	}
	images, err := c.images(store)
	if err != nil {
		return err
	}
	push := &pushing{pushCmd: c, app: a, paths: paths, store: store}
	if to, ok, err := transport.Parse(c.Destination); err != nil || ok && to.Kind != transport.Registry {
		if err != nil {
			return err
		}
		return push.toFiles(to, images)
	}
	if push.settings, err = a.registries(""); err != nil {
		return err
	}
	for _, image := range images {
		if err := push.toRegistry(image); err != nil {
			return err
		}
	}
	return nil
}

// images are those that are meant.
func (c *pushCmd) images(store keptImages) ([]savedImage, error) {
	if !c.AllTags {
		one, err := store.find(c.Image)
		return []savedImage{one}, err
	}
	if ref, err := pull.ParseReference(c.Image); err != nil || ref.Name() != strings.TrimSuffix(ref.Name(), ":latest")+":latest" || strings.HasSuffix(c.Image, ":latest") {
		return nil, fmt.Errorf("--all-tags wants a repository without a tag, not %q", c.Image)
	}
	if c.Destination != "" {
		return nil, fmt.Errorf("--all-tags sends images to where their names say: leave %q away", c.Destination)
	}
	return store.findAll(c.Image)
}

// pushing is what the push of each image needs.
type pushing struct {
	*pushCmd
	app      *app
	paths    sandbox.Paths
	store    keptImages
	settings *registries.Settings
	named    string              // the repository that was printed
	mounts   map[string][]string // digest: repositories of the host that have it
}

// target is the name that an image is to have.
func (p *pushing) target(image savedImage) (pull.Reference, error) {
	name := strings.TrimPrefix(p.Destination, "docker://")
	if name == "" && len(image.names) > 0 {
		name = image.names[0]
	}
	if name == "" {
		return pull.Reference{}, fmt.Errorf("push %s: an id says not where to: name a DESTINATION, or `rootlet tag` it", image.given)
	}
	ref, err := pull.ParseReference(name)
	if err == nil && ref.Digest() != "" {
		err = fmt.Errorf("push %s: a digest is what comes of it: name a tag", name)
	}
	return ref, noName(name, err)
}

// toRegistry sends one image and prints what Docker prints.
func (p *pushing) toRegistry(image savedImage) error {
	ref, err := p.target(image)
	if err != nil {
		return err
	}
	config, err := p.app.endpoint(p.settings, ref, p.TLSVerify)
	if err != nil {
		return err
	}
	repository, _ := splitName(ref.Name())
	if !p.Quiet && p.named != repository {
		fmt.Fprintf(p.app.stdout, "The push refers to repository [%s/%s]\n", ref.Registry(), ref.Repository())
		p.named = repository
	}
	config.Push = true
	config.MountFrom = func(digest string) []string { return p.mounts[digest] }
	if p.mounts, err = p.mountable(config.Host, config.Repository); err != nil {
		return err
	}
	var pushed pull.Pushed
	err = p.app.unlessSignalled(func(ctx context.Context) error {
		client, err := registry.Dial(ctx, config)
		if err != nil {
			return err
		}
		defer client.Close()
		pushed, err = p.send(ctx, image, client, ref.Tag())
		return err
	})
	if err != nil {
		return p.store.unsent("push", ref.Familiar(), image, err)
	}
	p.tell(ref, pushed)
	return p.done(ref.Familiar(), pushed)
}

// send sends one image, with bars.
func (p *pushing) send(ctx context.Context, image savedImage, to pull.Target, identifiers ...string) (pull.Pushed, error) {
	bars := newProgress(p.app, p.Quiet)
	defer bars.close()
	o := pull.PushOptions{
		Compression: p.Compression, Level: p.Level, Recompress: p.Compression != "", Events: bars.pushing,
		AsItIs: p.settings == nil && p.Compression == "",
	}
	if p.Force != nil {
		o.Recompress = *p.Force
	}
	if p.settings == nil {
		o.Parallel = 1 // one after the other: the same image, the same archive
	}
	return pull.Push(ctx, pull.Stored{Manifest: image.Manifest, Config: image.Config}, p.store.blobs, to, identifiers, o)
}

// tell prints what became of the layers, and of the tag.
func (p *pushing) tell(ref pull.Reference, pushed pull.Pushed) {
	if p.Quiet {
		fmt.Fprintln(p.app.stdout, ref.Name())
		return
	}
	for _, l := range pushed.Layers {
		state := "Pushed"
		switch {
		case l.Existed:
			state = "Layer already exists"
		case l.Mounted != "":
			state = "Mounted from " + printable(l.Mounted)
		}
		fmt.Fprintf(p.app.stdout, "%s: %s\n", shortID(strings.TrimPrefix(l.Digest, "sha256:"), false), state)
	}
	fmt.Fprintf(p.app.stdout, "%s: digest: %s size: %d\n", ref.Tag(), pushed.Digest, pushed.Size)
}

// done writes down what was done.
func (p *pushing) done(name string, pushed pull.Pushed) error {
	repository, _ := splitName(name)
	_ = events.Append(p.paths.Data, events.Event{
		Type: events.Image, Action: "push", ID: name, Attributes: map[string]string{"name": repository},
	})
	if p.DigestFile == "" {
		return nil
	}
	return os.WriteFile(p.DigestFile, []byte(pushed.Digest), 0o644)
}

// mountable says which other repositories of the host have which blobs, as far as
// the names of the images here say.
func (p *pushing) mountable(host, repository string) (map[string][]string, error) {
	all, err := p.store.view.Images()
	if err != nil {
		return nil, err
	}
	mounts := map[string][]string{}
	for _, i := range all {
		var from []string
		for _, name := range i.Names {
			if ref, err := pull.ParseReference(name); err == nil && ref.Registry() == host && ref.Repository() != repository {
				from = append(from, ref.Repository())
			}
		}
		if len(from) == 0 {
			continue
		}
		image, err := p.store.view.Image(i.ID)
		if err != nil {
			continue // removed since
		}
		digests, err := transport.Layers(image.Manifest)
		if err != nil {
			continue // damaged: no reason not to send another
		}
		for _, d := range digests {
			for _, repository := range from {
				if !slices.Contains(mounts[d], repository) {
					mounts[d] = append(mounts[d], repository)
				}
			}
		}
	}
	return mounts, nil
}

// toFiles writes images to where a transport says, as they came.
func (p *pushing) toFiles(to transport.Name, images []savedImage) error {
	image := images[0]
	identifiers := image.names
	if to.Image != "" {
		identifiers = []string{to.Image}
		if to.Kind == transport.DockerArchive {
			ref, err := pull.ParseReference(to.Image)
			if err != nil {
				return err
			}
			identifiers = []string{ref.Name()}
		}
	}
	if len(identifiers) == 0 {
		identifiers = []string{"sha256:" + image.ID}
	}
	var pushed pull.Pushed
	err := p.app.write(to.Kind, to.Path, "none", func(ctx context.Context, target *transport.Target) (err error) {
		pushed, err = p.send(ctx, image, target, identifiers...)
		return err
	})
	if err != nil {
		return whereFull(p.store.unsent("push", image.given, image, err), to.Path, p.paths.Data)
	}
	if !p.Quiet {
		fmt.Fprintf(p.app.stdout, "%s: digest: %s size: %d\n", to, pushed.Digest, pushed.Size)
	}
	return p.done(image.given, pushed)
}

package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"rootlet/pull/blobs"
	"rootlet/pull/grammar"
	"rootlet/pull/registry"
)

// How many layers at once: one more than there are cores, measured on two with
// a registry on loopback (2: 4.6 s, 3: 4.6 s, 4: 4.9 s for 1.7 GB), so that one
// can wait for the network. Not fewer than Docker's 3, nor more than registries
// like to see.
const (
	leastParallel = 3
	mostParallel  = 6
)

// Options say how to pull. The zero value pulls for this machine, anonymously.
type Options struct {
	Platform  string            // os/arch[/variant], empty for linux on this machine's architecture
	AsItIs    bool              // without a Platform, an image that comes without an index is taken whatever it is for
	Endpoints []registry.Config // where to ask, in order (see registries.Settings); none for the registry itself, anonymously
	Events    func(Event)       // progress, one call at a time, from other goroutines
	Parallel  int               // layers at once, 0 for what suits this machine
	Limits    Limits            // on what the image may cost

	// Blobs is where layers' blobs are kept, so that the image can be pushed and
	// saved as it came; nil for nowhere, and a pull that breaks off begins anew.
	Blobs *blobs.Store
	// DropBlobs removes them once their layers are unpacked.
	DropBlobs bool

	// Shared marks the image as one of an image store of others.
	Shared bool

	// How patient to be with the registry; zero for the defaults of
	// registry.Config.
	HeaderTimeout, Silence, RetryDelay time.Duration
}

// Result says what a name stands for now.
type Result struct {
	ID     string // of the image, hexadecimal
	Digest string // of the manifest or index that the name led to
	Name   string // Reference.Name
	Pulled bool   // false where the store had the image under this name
}

// Image pulls one image into store. Errors are *Error, but for a cancelled
// ctx, which is found by errors.Is(err, context.Canceled) too; ctx ends a pull
// at any point. After an error the store holds what it held before.
func Image(ctx context.Context, ref Reference, o Options, store Store) (Result, error) {
	result, err := image(ctx, ref, o, store)
	if err == nil {
		return result, nil
	}
	if ctx.Err() != nil {
		err = ctx.Err() // whatever else it broke
	}
	return Result{}, explain(ref, err)
}

// image asks the endpoints. A mirror that sent something else than it should have,
// which shows only when all of a layer has come, is left out of a second try.
func image(ctx context.Context, ref Reference, o Options, store Store) (Result, error) {
	all := o.endpoints(ref)
	result, err := imageFrom(ctx, all, ref, o, store)
	own := slices.DeleteFunc(slices.Clone(all), func(c registry.Config) bool { return c.Mirror })
	if ctx.Err() != nil || len(own) == len(all) || !errors.Is(explain(ref, err), DigestMismatch) {
		return result, err
	}
	return imageFrom(ctx, own, ref, o, store)
}

func imageFrom(ctx context.Context, endpoints []registry.Config, ref Reference, o Options, store Store) (Result, error) {
	src := From(endpoints)
	defer src.Close()
	return FromSource(ctx, src, ref.identifier(), []string{ref.Name()}, o, store)
}

// FromSource brings one image from a source into store, under full names
// (Reference.Name); without a name it is found by its id only. An identifier
// that is a digest is what the image must have. Errors are not yet *Error.
func FromSource(ctx context.Context, src Source, identifier string, names []string, o Options, store Store) (Result, error) {
	platform, err := parsePlatform(o.Platform)
	if err != nil {
		return Result{}, err
	}
	found, err := resolve(ctx, src, identifier, platform)
	if err != nil {
		return Result{}, err
	}
	result := Result{ID: found.id(), Digest: found.digest}
	if len(names) > 0 {
		result.Name = names[0]
	}
	there, err := found.bears(names, store)
	if err != nil {
		return result, err
	}
	whole := there && found.hasBlobs(o)
	if whole && (found.indexed || o.Platform == "") {
		return result, nil
	}
	// Without an index the config alone says what the image is for, and the name may
	// have been given to one for any platform.
	if o.AsItIs && o.Platform == "" {
		platform = v1.Platform{}
	}
	plan, err := found.plan(ctx, src, platform)
	if err != nil {
		return Result{}, err
	}
	if whole {
		return result, nil
	}
	plan.Names, plan.Shared = names, o.Shared
	result.Pulled = !there
	return result, plan.install(ctx, o, store)
}

// bears reports whether the store has the image under all the names already.
func (f *found) bears(names []string, store Store) (bool, error) {
	for _, name := range names {
		id, digest, ok, err := store.LookUp(name)
		if err != nil || !ok || id != f.id() || digest != f.digest {
			return false, err
		}
	}
	return len(names) > 0, nil
}

// hasBlobs reports whether all blobs are here that are to be.
func (f *found) hasBlobs(o Options) bool {
	for _, l := range f.manifest.Layers {
		if o.keepsBlobs() && !o.Blobs.Has(l.Digest.String()) {
			return false
		}
	}
	return true
}

// endpoints are where ref is looked for, with this pull's patience.
func (o Options) endpoints(ref Reference) []registry.Config {
	all := slices.Clone(o.Endpoints)
	if len(all) == 0 {
		all = []registry.Config{{Host: ref.Registry(), Repository: ref.Repository()}}
	}
	for i := range all {
		c := &all[i]
		c.HeaderTimeout = cmp.Or(o.HeaderTimeout, c.HeaderTimeout)
		c.Silence = cmp.Or(o.Silence, c.Silence)
		c.RetryDelay = cmp.Or(o.RetryDelay, c.RetryDelay)
	}
	return all
}

// found is the manifest that a reference leads to on one platform.
type found struct {
	digest   string // of what the reference names, an index or the manifest
	indexed  bool
	body     []byte
	manifest *v1.Manifest
}

func (f *found) id() string { return strings.TrimPrefix(f.manifest.Config.Digest.String(), "sha256:") }

// resolve follows an identifier to a manifest, over one index at most: indexes
// within indexes are not what registries serve, but can be made to loop.
func resolve(ctx context.Context, src Source, identifier string, platform v1.Platform) (*found, error) {
	body, contentType, err := src.Manifest(ctx, identifier)
	if err != nil {
		return nil, err
	}
	f := &found{digest: digestOf(body), body: body}
	if grammar.IsDigest(identifier) && f.digest != identifier {
		return nil, faultf(DigestMismatch, "the manifest that came has digest %s", f.digest)
	}
	if f.indexed, err = isIndex(body, contentType); err != nil {
		return nil, err
	}
	if f.indexed {
		if f.body, err = fromIndex(ctx, src, body, platform); err != nil {
			return nil, err
		}
	}
	f.manifest, err = parseManifest(f.body)
	return f, err
}

func fromIndex(ctx context.Context, src Source, index []byte, platform v1.Platform) ([]byte, error) {
	parsed, err := parseIndex(index)
	if err != nil {
		return nil, err
	}
	d, err := choose(parsed, platform)
	if err != nil {
		return nil, err
	}
	if err := checkDescriptor("manifest", d); err != nil {
		return nil, err
	}
	body, contentType, err := src.Manifest(ctx, d.Digest.String())
	if err != nil {
		return nil, err
	}
	if got := digestOf(body); got != d.Digest.String() || int64(len(body)) != d.Size {
		return nil, faultf(DigestMismatch, "manifest %s: %d bytes with digest %s came", short(d.Digest.String()), len(body), got)
	}
	nested, err := isIndex(body, contentType)
	if nested {
		return nil, faultf(Unsupported, "manifest %s is an index within an index", short(d.Digest.String()))
	}
	return body, err
}

// plan fetches the config and puts together what is to be installed.
func (f *found) plan(ctx context.Context, src Source, platform v1.Platform) (*plan, error) {
	m := f.manifest
	digest := m.Config.Digest.String()
	body, err := document(ctx, src, digest, m.Config.Size)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", short(digest), err)
	}
	if got := digestOf(body); got != digest {
		return nil, faultf(DigestMismatch, "config %s: content with digest %s came", short(digest), got)
	}
	c, err := parseConfig(body, len(m.Layers))
	if err != nil {
		return nil, err
	}
	if !f.indexed && platform.OS != "" {
		if err := c.suits(platform); err != nil {
			return nil, err
		}
	}
	p := &plan{ImageRecord: ImageRecord{
		ID: f.id(), Digest: f.digest, Manifest: f.body, Config: body, Created: c.created(),
	}}
	err = p.addLayers(m.Layers, c.RootFS.DiffIDs, func(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
		return src.Blob(ctx, d.Digest.String(), d.Size, offset)
	})
	if files, ok := src.(Local); ok && files.Local() {
		for _, l := range p.layers {
			l.local = true
		}
	}
	return p, err
}

// document reads a blob that is a JSON document, whole.
func document(ctx context.Context, src Source, digest string, size int64) ([]byte, error) {
	if size > registry.MaxDocument {
		return nil, registry.ErrTooLarge
	}
	b, err := src.Blob(ctx, digest, size, 0)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

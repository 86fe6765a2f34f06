package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"rootlet/pull"
	"rootlet/pull/grammar"
)

// manifestInspectCmd is `rootlet manifest inspect`.
type manifestInspectCmd struct {
	Image     string `arg:"" help:"Name of an image in a registry; an id that is here, or --local, is one of the store."`
	Verbose   bool   `name:"verbose" short:"v" help:"With the digests, and all manifests of an index."`
	Local     bool   `name:"local" help:"Of the image as the store has it."`
	Insecure  bool   `name:"insecure" help:"Talk to a registry without TLS, or with any certificate."`
	TLSVerify *bool  `name:"tls-verify" help:"Check the registry's certificate."`
}

// Run prints the manifest.
func (c *manifestInspectCmd) Run(a *app) error {
	read := c.remote
	if c.Local || isStoredID(c.Image) {
		read = c.local
	}
	documents, err := read(a)
	if err != nil {
		return err
	}
	var text []byte
	switch {
	case !c.Verbose:
		text = documents[0].Body
	case documents[0].Index:
		text, err = json.Marshal(described(documents[1:]))
	default:
		text, err = json.Marshal(described(documents)[0])
	}
	if err != nil {
		return err
	}
	indent := "\t"
	if documents[0].Index && !c.Verbose {
		indent = "   " // Docker's two printers differ
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", indent); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	_, err = fmt.Fprintln(a.stdout, strings.TrimSpace(printableJSON(indented.String())))
	return err
}

// leastID is from how many digits on what could be an id's beginning is held for
// one, and not for the name that it may be, too: so many are shown of each.
const leastID = 12

// isStoredID holds for what can be nothing but an image's id, and for the first
// digits of one that is here.
func isStoredID(s string) bool {
	digits, prefixed := strings.CutPrefix(s, "sha256:")
	if grammar.IsSHA256(digits) {
		return true
	}
	if digits == "" || !grammar.IsHex(digits) || len(digits) < leastID && !prefixed {
		return false
	}
	paths, err := findPaths()
	if err != nil {
		return false
	}
	_, err = view(paths).Find(digits)
	return err == nil
}

// local is the manifest of an image that is here.
func (c *manifestInspectCmd) local(a *app) ([]pull.Document, error) {
	paths, err := findPaths()
	if err != nil {
		return nil, err
	}
	store, err := a.openKept(paths)
	if err != nil {
		return nil, err
	}
	image, err := store.find(c.Image)
	if err != nil {
		return nil, err
	}
	d, err := pull.NewDocument(c.Image, image.Manifest, image.Config)
	return []pull.Document{d}, err
}

// remote is the manifest that a registry has, and those that it lists.
func (c *manifestInspectCmd) remote(a *app) ([]pull.Document, error) {
	verify := c.TLSVerify
	if c.Insecure {
		no := false
		verify = &no
	}
	sources, err := a.sources(strings.TrimPrefix(c.Image, "docker://"), verify)
	if err != nil {
		return nil, err
	}
	var documents []pull.Document
	for _, source := range sources {
		ref, parseErr := pull.ParseReference(source.Ref)
		if parseErr != nil {
			return nil, parseErr
		}
		err = a.unlessSignalled(func(ctx context.Context) error {
			documents, err = pull.Documents(ctx, ref, pull.From(source.Endpoints), c.Verbose)
			return err
		})
		if err == nil {
			return documents, nil
		}
		err = pull.Explain("inspect the manifest of", ref.Familiar(), err)
	}
	return nil, err
}

// manifestRow is what Docker shows of a manifest with -v.
type manifestRow struct {
	Ref              string
	Descriptor       pull.Described
	Raw              []byte          `json:",omitempty"`
	SchemaV2Manifest json.RawMessage `json:",omitempty"`
	OCIManifest      json.RawMessage `json:",omitempty"`
}

func described(documents []pull.Document) []manifestRow {
	rows := []manifestRow{}
	for _, d := range documents {
		row := manifestRow{Ref: d.Ref, Descriptor: d.Described, Raw: d.Body}
		if d.Docker() {
			row.SchemaV2Manifest = d.Body
		} else {
			row.OCIManifest = d.Body
		}
		rows = append(rows, row)
	}
	return rows
}

// printableJSON is JSON with what is not to be seen on a terminal escaped, which
// in JSON stands in strings only.
func printableJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case strconv.IsPrint(r), r == '\n', r == '\t':
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

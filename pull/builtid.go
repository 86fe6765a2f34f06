package pull

// BuiltID is the id that Install gives an image of this config and these
// layers, hexadecimal.
func BuiltID(cfg []byte, layers []Opener) (string, error) {
	p, err := built(cfg, layers)
	if err != nil {
		return "", err
	}
	return p.ID, nil
}

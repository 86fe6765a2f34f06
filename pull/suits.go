package pull

import "encoding/json"

// Suits refuses an image whose config is for another platform than the one that
// is named; any will do where that is empty.
func Suits(imageConfig []byte, platform string) error {
	if platform == "" {
		return nil
	}
	want, err := parsePlatform(platform)
	if err != nil {
		return err
	}
	c := &config{}
	if err := json.Unmarshal(imageConfig, c); err != nil {
		return err
	}
	return c.suits(want)
}

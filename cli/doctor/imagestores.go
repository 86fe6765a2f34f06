package doctor

import "fmt"

// ImageStore is a directory of others' whose images are used here.
type ImageStore struct {
	Dir    string
	Images int
	Err    string // why it cannot be used
}

// withImageStores adds them to what is said of the storage. One that cannot be used is
// in no container's way.
func (h Host) withImageStores(n Need) Need {
	for _, s := range h.ImageStores {
		if s.Err == "" {
			n.Now += fmt.Sprintf("; image store %s (%d images)", s.Dir, s.Images)
			continue
		}
		n.Now += fmt.Sprintf("; image store %s cannot be used", s.Dir)
		if n.Status == OK {
			n.Status, n.Better, n.Why = Better, "an image store that can be read", s.Dir+": "+s.Err
			n.Fix.User = []string{"rootlet store ls " + s.Dir}
		}
	}
	return n
}

package transport

// Local says that blobs are on this host (pull.Local).
func (flat) Local() bool { return true }

// Local says that blobs are on this host (pull.Local).
func (*docker) Local() bool { return true }

// Local says that blobs are on this host (pull.Local).
func (*layout) Local() bool { return true }

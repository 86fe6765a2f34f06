package integration

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// Who is who in the world. All of it is in namespaces without a way out.
const (
	worldIP       = "192.0.2.10" // and the host's gateway
	worldOther    = "192.0.2.11"
	worldNames    = "192.0.2.53" // the host's name server
	worldIP6      = "2001:db8::10"
	worldOther6   = "2001:db8::11"
	worldAllowed  = worldIP + ":8080" // all that the container may connect to
	worldInside   = "inside.example.org"
	worldInsideIP = "10.9.9.9"
	worldSecret   = "secret.example.net"
)

// egressHost is a host with a cable to the world; it runs its arguments and says what
// they printed, and what arrived.
func egressHost() error {
	world := exec.Command("/proc/self/exe")
	world.Env = append(os.Environ(), stageKey+"="+stageWorld)
	world.Stderr = os.Stderr
	world.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	tell, err := world.StdinPipe()
	if err != nil {
		return err
	}
	output, err := world.StdoutPipe()
	if err != nil {
		return err
	}
	if err := world.Start(); err != nil {
		return err
	}
	hear := bufio.NewReader(output)
	err = each(
		"ip link set lo up",
		"ip link add out type veth peer name in netns "+strconv.Itoa(world.Process.Pid),
		"ip addr add 192.0.2.1/24 dev out",
		"ip addr add 2001:db8::1/64 dev out nodad",
		"ip link set out up",
	)
	if err == nil {
		_, err = fmt.Fprintln(tell, "the cable is there")
	}
	if err == nil {
		_, err = hear.ReadString('\n')
	}
	if err == nil {
		err = each("ip route add default via "+worldIP, "ip -6 route add default via "+worldIP6)
	}
	if err == nil {
		// So that a driver could send an echo request, were it to.
		err = os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0)
	}
	if err == nil {
		err = nameServer(worldNames)
	}
	if err != nil {
		return err
	}
	probe := exec.Command(os.Args[1], os.Args[2:]...)
	probe.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, stageKey) })
	probe.Stderr = os.Stderr
	printed, err := probe.Output()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, printed)
	}
	proof := egressProof{Probe: string(printed)}
	if err := tell.Close(); err != nil {
		return err
	}
	if err := json.NewDecoder(hear).Decode(&proof.Arrived); err != nil {
		return err
	}
	return errors.Join(world.Wait(), json.NewEncoder(os.Stdout).Encode(proof))
}

func each(commands ...string) error {
	for _, command := range commands {
		words := strings.Fields(command)
		if output, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", command, err, output)
		}
	}
	return nil
}

// nameServer has this mount namespace see another resolv.conf.
func nameServer(address string) error {
	file, err := os.CreateTemp(os.Getenv("XDG_RUNTIME_DIR"), "resolv")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := fmt.Fprintln(file, "nameserver", address); err != nil {
		return err
	}
	to, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return err
	}
	return unix.Mount(file.Name(), to, "", unix.MS_BIND, "")
}

// egressWorld serves at all of its addresses, and writes down what arrives.
func egressWorld() error {
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	err := each(
		"ip link set lo up",
		"ip addr add "+worldIP+"/24 dev in", "ip addr add "+worldOther+"/24 dev in", "ip addr add "+worldNames+"/24 dev in",
		"ip addr add "+worldInsideIP+"/32 dev in",
		"ip addr add "+worldIP6+"/64 dev in nodad", "ip addr add "+worldOther6+"/64 dev in nodad",
		"ip link set in up", "ip route add default via 192.0.2.1", "ip -6 route add default via 2001:db8::1",
	)
	if err != nil {
		return err
	}
	seen := &sightings{all: map[string]bool{}}
	if err := seen.watch("in"); err != nil {
		return err
	}
	for _, port := range []string{":8080", ":8081", ":53"} {
		listener, err := net.Listen("tcp", port)
		if err != nil {
			return err
		}
		go func() {
			_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
		}()
	}
	names, err := net.ListenPacket("udp4", worldNames+":53")
	if err != nil {
		return err
	}
	go seen.serveNames(names)
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond) // what is on its way
	return json.NewEncoder(os.Stdout).Encode(seen.list())
}

// sightings are what arrived, each kind once.
type sightings struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *sightings) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[what] = true
}

func (s *sightings) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []string{}
	for what := range s.all {
		list = append(list, what)
	}
	slices.Sort(list)
	return list
}

// watch notes every packet that comes in at a device (packet(7)).
func (s *sightings) watch(device string) error {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	everything := int(binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL}))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, everything)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(everything), Ifindex: link.Index}); err != nil {
		return err
	}
	go func() {
		packet := make([]byte, 64<<10)
		for {
			n, from, err := unix.Recvfrom(fd, packet, 0)
			if err != nil {
				continue
			}
			at, ok := from.(*unix.SockaddrLinklayer)
			if !ok || at.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			kind := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, at.Protocol))
			if what := describe(kind, packet[:n]); what != "" {
				s.add(what)
			}
		}
	}()
	return nil
}

// describe says what a packet is; nothing of what a host says to its neighbours.
func describe(kind uint16, packet []byte) string {
	var to netip.Addr
	var protocol byte
	var rest []byte
	switch {
	case kind == unix.ETH_P_ARP:
		return ""
	case kind == unix.ETH_P_IP && len(packet) >= 20:
		to, protocol, rest = netip.AddrFrom4([4]byte(packet[16:])), packet[9], packet[min(len(packet), int(packet[0]&15)*4):]
	case kind == unix.ETH_P_IPV6 && len(packet) >= 40:
		to, protocol, rest = netip.AddrFrom16([16]byte(packet[24:])), packet[6], packet[40:]
	default:
		return fmt.Sprintf("ether type %#x", kind)
	}
	if protocol == unix.IPPROTO_HOPOPTS && to.IsMulticast() {
		return "" // multicast listener reports (RFC 3810)
	}
	switch {
	case protocol == unix.IPPROTO_TCP && len(rest) >= 4:
		return fmt.Sprintf("tcp %v", netip.AddrPortFrom(to, binary.BigEndian.Uint16(rest[2:])))
	case protocol == unix.IPPROTO_UDP && len(rest) >= 4:
		return fmt.Sprintf("udp %v", netip.AddrPortFrom(to, binary.BigEndian.Uint16(rest[2:])))
	case protocol == unix.IPPROTO_ICMPV6 && len(rest) > 0 && rest[0] >= 133 && rest[0] <= 137:
		return "" // neighbour discovery (RFC 4861)
	}
	return fmt.Sprintf("protocol %d to %v", protocol, to)
}

// serveNames answers for one name, with a private address.
func (s *sightings) serveNames(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
			s.add("no question of names")
			continue
		}
		q := m.Questions[0]
		s.add("asked for " + strings.ToLower(strings.TrimSuffix(q.Name.String(), ".")))
		m.Header.Response, m.Additionals = true, nil
		if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(worldInsideIP).As4()},
			}}
		}
		if answer, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

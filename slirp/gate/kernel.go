package gate

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Lacking is in the error of a host on which there can be no gate: its kernel has no
// nftables for us, or not all of it, or no pair of interfaces, or its settings cannot be
// written.
const Lacking = "this host has no gate to a driver"

func lacking(what string, err error) error { return fmt.Errorf("%s: %s: %w", Lacking, what, err) }

// send makes the plan the kernel's, all of it or nothing.
func (r *ruleset) send(c *nftables.Conn) error {
	c.AddTable(r.table)
	for _, s := range r.sides {
		for name, set := range r.sets {
			if (set.KeyType == nftables.TypeIPAddr) != s.net.Addr().Is4() {
				continue
			}
			var elements []nftables.SetElement
			if name == privateSet(s.net.Addr()) {
				elements = intervals(r.private, s.net.Addr().Is4())
			}
			if err := c.AddSet(set, elements); err != nil {
				return fmt.Errorf("nftables: set %s: %w", name, err)
			}
		}
	}
	chains := map[string]*nftables.Chain{}
	for _, planned := range r.chains {
		kernel := &nftables.Chain{}
		if planned.hook != nil {
			*kernel = *planned.hook
			policy := nftables.ChainPolicyAccept
			if planned.drop {
				policy = nftables.ChainPolicyDrop
			}
			kernel.Policy = &policy
		}
		kernel.Name, kernel.Table = planned.name, r.table
		chains[planned.name] = c.AddChain(kernel)
	}
	for _, planned := range r.chains {
		for _, row := range planned.rows {
			k := &nftables.Rule{Table: r.table, Chain: chains[planned.name]}
			for _, p := range row {
				k.Exprs = append(k.Exprs, p.exprs...)
			}
			c.AddRule(k)
		}
	}
	return explain(c.Flush())
}

// explain tells a kernel that lacks a part of nftables from one that refuses the plan.
func explain(err error) error {
	for _, absent := range []error{unix.ENOENT, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EINVAL, unix.EPERM} {
		if errors.Is(err, absent) {
			return lacking("nftables", err)
		}
	}
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// intervals are the elements of a set of networks: where each begins, and where it is
// over. Networks that touch are one.
func intervals(prefixes []netip.Prefix, v4 bool) (elements []nftables.SetElement) {
	var end netip.Addr
	finish := func() {
		if end.IsValid() { // the last address of all has none after it
			elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	for _, p := range prefixes {
		if p.Addr().Is4() != v4 {
			continue
		}
		if p.Addr() != end {
			finish()
			elements = append(elements, nftables.SetElement{Key: p.Addr().AsSlice()})
		}
		end = after(p)
	}
	finish()
	return elements
}

// after is the first address beyond a network.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last.Next()
}

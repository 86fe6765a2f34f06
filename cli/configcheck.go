package cli

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check holds the whole file against the grammar: each key must be known, and be
// of the type that its flag has.
func (c *config) check(all []command) error {
	known := settingKeys()
	global := flagsOf(reflect.TypeFor[globalFlags]())
	for _, key := range slices.Sorted(maps.Keys(c.values)) {
		value := c.values[key]
		if key == limitsTable {
			if err := c.checkLimits(value); err != nil {
				return err
			}
			continue
		}
		if set, ok := known[key]; ok {
			if err := set(c, value); err != nil {
				return c.wrong([]string{key}, "%v", err)
			}
			continue
		}
		if f, ok := global[key]; ok {
			if err := f.accepts(value); err != nil {
				return c.wrong([]string{key}, "%v", err)
			}
			continue
		}
		table, isTable := value.(map[string]any)
		of, isCommand := byName(all, key)
		if !isTable || !isCommand {
			return c.wrong([]string{key}, "unknown%s", nearest(key, slices.Concat([]string{limitsTable}, slices.Collect(maps.Keys(known)), slices.Collect(maps.Keys(global)), names(all))))
		}
		if err := c.checkCommand([]string{key}, of, table, all); err != nil {
			return err
		}
	}
	return nil
}

// checkCommand checks the table of a command, or those of the commands of a noun.
func (c *config) checkCommand(path []string, of command, table map[string]any, all []command) error {
	if of.form == nil {
		for _, key := range slices.Sorted(maps.Keys(table)) {
			below := append(slices.Clone(path), key)
			child, ok := byName(of.children, key)
			values, isTable := table[key].(map[string]any)
			if !ok || !isTable {
				return c.wrong(below, "unknown%s", nearest(key, names(of.children)))
			}
			if alone := tableOf(all, below); !slices.Equal(alone, below) {
				return c.wrong(below, "the table of this command is [%s]", strings.Join(alone, "."))
			}
			if err := c.checkCommand(below, child, values, all); err != nil {
				return err
			}
		}
		return nil
	}
	flags := flagsOf(reflect.TypeOf(of.form()).Elem())
	for _, key := range slices.Sorted(maps.Keys(table)) {
		below := append(slices.Clone(path), key)
		f, ok := flags[key]
		if !ok {
			return c.wrong(below, "unknown%s", nearest(key, slices.Collect(maps.Keys(flags))))
		}
		if err := f.accepts(table[key]); err != nil {
			return c.wrong(below, "%v", err)
		}
	}
	return nil
}

// byName is find without the aliases: a table has one name.
func byName(all []command, name string) (command, bool) {
	for _, c := range all {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

// tableOf is where the flags of a command stand: under its verb alone where it is
// there twice, as ps and container ls.
func tableOf(all []command, path []string) []string {
	c, children := command{}, all
	for _, word := range path {
		c, _ = find(children, word)
		children = c.children
	}
	if len(path) < 2 || c.form == nil {
		return path
	}
	form := c.form()
	if _, many := form.(*objectInspectCmd); many { // one type for several nouns
		return path
	}
	for _, top := range all {
		if top.form != nil && reflect.TypeOf(top.form()) == reflect.TypeOf(form) {
			return []string{top.name}
		}
	}
	return path
}

// flagOf is a flag as its struct says it, without the parser's model of it: that
// would be built for each command of which the file speaks.
type flagOf struct {
	name, help string
	kind       reflect.Type
	values     []string // the only ones, where there are such
}

// flagsOf are the flags of a command by their names.
func flagsOf(t reflect.Type) map[string]flagOf {
	flags := map[string]flagOf{}
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			maps.Copy(flags, flagsOf(field.Type))
			continue
		}
		name, ok := field.Tag.Lookup("name")
		if _, argument := field.Tag.Lookup("arg"); !ok || argument {
			continue
		}
		f := flagOf{name: name, help: field.Tag.Get("help"), kind: field.Type}
		if f.kind.Kind() == reflect.Pointer {
			f.kind = f.kind.Elem()
		}
		if values := field.Tag.Get("enum"); values != "" {
			f.values = strings.Split(values, ",")
		}
		flags[name] = f
	}
	return flags
}

// wants is the type of a flag in the words of the file.
func (f flagOf) wants() string {
	switch {
	case f.kind == reflect.TypeFor[time.Duration]():
		return `a duration such as "10s"`
	case f.kind.Kind() == reflect.Bool:
		return "true or false"
	case f.kind.Kind() == reflect.Int || f.kind.Kind() == reflect.Int64:
		return "a number"
	case f.kind.Kind() == reflect.Slice:
		return "an array of strings" // or a string, for one
	}
	if len(f.values) > 0 {
		return "one of " + strings.Join(f.values, ", ")
	}
	return "a string"
}

// accepts checks a value from the file.
func (f flagOf) accepts(value any) error {
	ok := false
	switch v := value.(type) {
	case bool:
		ok = f.kind.Kind() == reflect.Bool
	case int64:
		ok = f.kind.Kind() == reflect.Int || f.kind.Kind() == reflect.Int64 && f.kind != reflect.TypeFor[time.Duration]()
	case string:
		ok = f.kind.Kind() == reflect.Slice || f.kind.Kind() == reflect.String && (len(f.values) == 0 || slices.Contains(f.values, v))
		if f.kind == reflect.TypeFor[time.Duration]() {
			_, err := time.ParseDuration(v)
			ok = err == nil
		}
	case []any:
		ok = f.kind.Kind() == reflect.Slice && !slices.ContainsFunc(v, func(one any) bool { _, is := one.(string); return !is })
	}
	if !ok {
		return fmt.Errorf("want %s, not %s", f.wants(), shown(value))
	}
	return nil
}

// shown is a value as the file has it, if it is not much.
func shown(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case map[string]any:
		return "a table"
	case []any, []map[string]any:
		return "an array"
	}
	return fmt.Sprint(value)
}

// Verifies a running relay's log with x/mod's note and tlog, over HTTP. Prints one line of JSON for each check.
//
//	go run tlog.go PLAN
//
// PLAN is a JSON file: where the log is, its verifier key, an older checkpoint and a log proof that the relay gave.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// Plan says what to verify. Leaf is a leaf that stands at Index, in base64. Bundles are entry bundles by their paths,
// where the relay gives them to members only.
type Plan struct {
	Prefix, Vkey, Older, Proof, Leaf string
	Index                            int64
	Bundles                          map[string][]byte
}

var client = &http.Client{Timeout: 10 * time.Second}

func get(url string) ([]byte, error) {
	answer, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %d", url, answer.StatusCode)
	}
	return body, nil
}

// open reads a checkpoint: a note by the log's key whose text is origin, size and root.
func open(text []byte, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	if origin != verifier.Name() {
		return tlog.Tree{}, errors.New("another log's origin")
	}
	// x/mod knows one origin only: the rest of the text is the same.
	return tlog.ParseTree([]byte("go.sum database tree\n" + rest))
}

// tiles reads tiles over HTTP by their C2SP paths. spoil, if not nil, changes them on the way.
type tiles struct {
	prefix string
	spoil  func(tlog.Tile, []byte)
}

func (t *tiles) Height() int                         { return height }
func (t *tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t *tiles) ReadTiles(asked []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, one := range asked {
		path := strings.Replace(one.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		data, err := get(t.prefix + "/" + path)
		if err != nil {
			return nil, err
		}
		if t.spoil != nil {
			t.spoil(one, data)
		}
		found = append(found, data)
	}
	return found, nil
}

// leaf reads the entry at index out of its bundle, as a log of this size has it.
func leaf(plan Plan, index, size int64) ([]byte, error) {
	tile := tlog.Tile{H: height, L: 0, N: index >> height, W: 1 << height}
	if rest := size - tile.N<<height; rest < 1<<height {
		tile.W = int(rest)
	}
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
	bundle, known := plan.Bundles[path]
	if !known {
		var err error
		if bundle, err = get(plan.Prefix + "/" + path); err != nil {
			return nil, err
		}
	}
	for at := tile.N << height; len(bundle) >= 2; at++ {
		length := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+length {
			break
		}
		if at == index {
			return bundle[2 : 2+length], nil
		}
		bundle = bundle[2+length:]
	}
	return nil, errors.New("the bundle ends too early")
}

// proofFile reads a C2SP tlog-proof: extra, index, hashes, checkpoint.
func proofFile(text string) (extra []byte, index int64, hashes tlog.RecordProof, checkpoint string, err error) {
	head, checkpoint, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return nil, 0, nil, "", errors.New("no log proof")
	}
	if extra, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra ")); err != nil {
		return
	}
	if index, err = strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64); err != nil {
		return
	}
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, 0, nil, "", err
		}
		hashes = append(hashes, hash)
	}
	return
}

// asked reads the relay's own consistency proof between two sizes.
func asked(prefix string, old, new int64) (proof tlog.TreeProof, err error) {
	data, err := get(fmt.Sprintf("%s/consistency?old=%d&new=%d", prefix, old, new))
	if err != nil {
		return nil, err
	}
	var page struct{ Hashes []tlog.Hash }
	err = json.Unmarshal(data, &page)
	return page.Hashes, err
}

func check(name string, work func() error) {
	defer func() {
		if fault := recover(); fault != nil {
			print(name, fmt.Errorf("it crashed: %v", fault))
		}
	}()
	print(name, work())
}

func refused(name string, work func() error) {
	check(name, func() error {
		if work() == nil {
			return errors.New("it passed")
		}
		return nil
	})
}

func print(name string, err error) {
	said := ""
	if err != nil {
		said = err.Error()
	}
	line, _ := json.Marshal(map[string]any{"name": "go: " + name, "ok": err == nil, "said": said})
	fmt.Println(string(line))
}

func flipped(data []byte, at int) []byte {
	changed := append([]byte(nil), data...)
	changed[at] ^= 1
	return changed
}

func without(hashes []tlog.Hash, at int) []tlog.Hash {
	return append(append([]tlog.Hash(nil), hashes[:at]...), hashes[at+1:]...)
}

func main() {
	var plan Plan
	data, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(data, &plan)
	}
	if err != nil {
		print("reads its plan", err)
		os.Exit(1)
	}
	text, err := get(plan.Prefix + "/checkpoint")
	if err != nil {
		print("gets the checkpoint", err)
		os.Exit(1)
	}
	tree := heads(plan, text)
	inclusions(plan, tree)
	consistencies(plan, tree)
	logProof(plan)
}

func heads(plan Plan, text []byte) tlog.Tree {
	var tree tlog.Tree
	check("the checkpoint is a note by the log's key", func() (err error) {
		tree, err = open(text, plan.Vkey)
		return
	})
	end := bytes.Index(text, []byte("\n\n"))
	for at := 0; at < end; at++ {
		at := at
		refused(fmt.Sprintf("a checkpoint changed at byte %d", at), func() error {
			_, err := open(flipped(text, at), plan.Vkey)
			return err
		})
	}
	line := string(text[end+2 : end+2+bytes.IndexByte(text[end+2:], '\n')])
	blob := strings.Fields(line)[2]
	raw, _ := base64.StdEncoding.DecodeString(blob)
	for _, at := range []int{0, 4, 20, 40, len(raw) - 1} {
		changed := base64.StdEncoding.EncodeToString(flipped(raw, at))
		refused(fmt.Sprintf("a signature changed at byte %d", at), func() error {
			_, err := open([]byte(strings.Replace(string(text), blob, changed, 1)), plan.Vkey)
			return err
		})
	}
	refused("a checkpoint without its signatures", func() error {
		_, err := open(text[:end+2], plan.Vkey)
		return err
	})
	refused("a size one more under the same signature", func() error {
		size := fmt.Sprint(tree.N)
		_, err := open([]byte(strings.Replace(string(text), "\n"+size+"\n", fmt.Sprintf("\n%d\n", tree.N+1), 1)), plan.Vkey)
		return err
	})
	return tree
}

func inclusions(plan Plan, tree tlog.Tree) {
	reader := tlog.TileHashReader(tree, &tiles{prefix: plan.Prefix})
	for _, index := range []int64{0, 1, 100, 255, 256, tree.N / 2, tree.N - 2, tree.N - 1} {
		index := index
		var proof tlog.RecordProof
		var entry []byte
		check(fmt.Sprintf("entry %d is in the tree that its tiles hash to", index), func() (err error) {
			if entry, err = leaf(plan, index, tree.N); err != nil {
				return
			}
			if proof, err = tlog.ProveRecord(tree.N, index, reader); err != nil {
				return
			}
			return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
		})
		if entry == nil || proof == nil {
			continue
		}
		right := tlog.RecordHash(entry)
		refused(fmt.Sprintf("entry %d with a byte changed", index), func() error {
			return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(flipped(entry, 50)))
		})
		refused(fmt.Sprintf("entry %d at another place", index), func() error {
			return tlog.CheckRecord(proof, tree.N, tree.Hash, (index+1)%tree.N, right)
		})
		for at := range proof {
			changed := append(tlog.RecordProof(nil), proof...)
			changed[at][7] ^= 1
			refused(fmt.Sprintf("entry %d with hash %d of its proof changed", index, at), func() error {
				return tlog.CheckRecord(changed, tree.N, tree.Hash, index, right)
			})
			refused(fmt.Sprintf("entry %d without hash %d of its proof", index, at), func() error {
				return tlog.CheckRecord(without(proof, at), tree.N, tree.Hash, index, right)
			})
		}
	}
	refused("a tile with a bit changed", func() error {
		spoiled := tlog.TileHashReader(tree, &tiles{plan.Prefix, func(_ tlog.Tile, data []byte) { data[9] ^= 1 }})
		_, err := tlog.ProveRecord(tree.N, 3, spoiled)
		return err
	})
	refused("tiles of a tree one smaller under this root", func() error {
		_, err := tlog.ProveRecord(tree.N-1, 3, tlog.TileHashReader(tlog.Tree{N: tree.N - 1, Hash: tree.Hash}, &tiles{prefix: plan.Prefix}))
		return err
	})
	refused("tiles of a tree one larger than the log", func() error {
		_, err := tlog.ProveRecord(tree.N+1, 3, tlog.TileHashReader(tlog.Tree{N: tree.N + 1, Hash: tree.Hash}, &tiles{prefix: plan.Prefix}))
		return err
	})
}

func consistencies(plan Plan, tree tlog.Tree) {
	older, err := open([]byte(plan.Older), plan.Vkey)
	print("the older checkpoint is a note by the log's key", err)
	if err != nil {
		return
	}
	reader := tlog.TileHashReader(tree, &tiles{prefix: plan.Prefix})
	for from, prove := range map[string]func() (tlog.TreeProof, error){
		"from tiles":       func() (tlog.TreeProof, error) { return tlog.ProveTree(tree.N, older.N, reader) },
		"from the relay's": func() (tlog.TreeProof, error) { return asked(plan.Prefix, older.N, tree.N) },
	} {
		var proof tlog.TreeProof
		check("the older log is a beginning of the newer, "+from+" proof", func() (err error) {
			if proof, err = prove(); err != nil {
				return
			}
			return tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash)
		})
		for at := range proof {
			changed := append(tlog.TreeProof(nil), proof...)
			changed[at][7] ^= 1
			refused(fmt.Sprintf("consistency with hash %d changed, %s proof", at, from), func() error {
				return tlog.CheckTree(changed, tree.N, tree.Hash, older.N, older.Hash)
			})
			refused(fmt.Sprintf("consistency without hash %d, %s proof", at, from), func() error {
				return tlog.CheckTree(without(proof, at), tree.N, tree.Hash, older.N, older.Hash)
			})
		}
		wrong := older.Hash
		wrong[0] ^= 1
		refused("another older root, "+from+" proof", func() error {
			return tlog.CheckTree(proof, tree.N, tree.Hash, older.N, wrong)
		})
		refused("an older size one less, "+from+" proof", func() error {
			return tlog.CheckTree(proof, tree.N, tree.Hash, older.N-1, older.Hash)
		})
		// Sizes of one shape share a proof; that they cannot be exchanged is for the checkpoint's signature.
		refused("a newer size of another shape, "+from+" proof", func() error {
			return tlog.CheckTree(proof, 2*tree.N+1, tree.Hash, older.N, older.Hash)
		})
	}
}

func logProof(plan Plan) {
	extra, index, hashes, checkpoint, err := proofFile(plan.Proof)
	var tree tlog.Tree
	if err == nil {
		tree, err = open([]byte(checkpoint), plan.Vkey)
	}
	expected, _ := base64.StdEncoding.DecodeString(plan.Leaf)
	if err == nil && (!bytes.Equal(extra, expected) || index != plan.Index) {
		err = errors.New("it is about another leaf")
	}
	if err == nil {
		err = tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(extra))
	}
	print("the log proof that a sender was given", err)
	refused("that log proof with its leaf changed", func() error {
		return tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(flipped(extra, 3)))
	})
}

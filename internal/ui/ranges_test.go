package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

func sampleRange() *pb.RangeResponse {
	return &pb.RangeResponse{
		Header: &pb.ResponseHeader{ClusterId: 14841639068965178418, MemberId: 10276657743932975437, Revision: 9, RaftTerm: 2},
		Kvs: []*mvccpb.KeyValue{
			{Key: []byte("a"), Value: []byte("one\ntwo"), CreateRevision: 2, ModRevision: 3, Version: 2},
			{Key: []byte("b\x00\xff<>&é"), CreateRevision: 4, ModRevision: 4, Version: 1, Lease: 7587864034453325325},
			{Value: []byte(`"`)},
			{},
		},
		More: true, Count: 12,
	}
}

func render(tb testing.TB, r *pb.RangeResponse, o RangeOptions, size int) string {
	tb.Helper()
	var out bytes.Buffer
	w := NewRangeWriter(&out, o)
	err := w.Begin(r.GetHeader())
	for i := 0; i < len(r.GetKvs()); i += size {
		err = errors.Join(err, w.Keys(r.GetKvs()[i:min(i+size, len(r.GetKvs()))]))
	}
	if err = errors.Join(err, w.End(r.GetMore(), r.GetCount())); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

// TestRangeWriterPiecesMakeTheWhole holds that the pieces are the encoding of the whole message. (That the whole is what
// etcdctl prints is tested beside the command, against etcdctl.)
func TestRangeWriterPiecesMakeTheWhole(t *testing.T) {
	for _, r := range []*pb.RangeResponse{
		sampleRange(),
		{Header: &pb.ResponseHeader{ClusterId: 1}},
		{Header: &pb.ResponseHeader{}, Count: 3},
		{Header: &pb.ResponseHeader{}, More: true},
	} {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		message, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for size := 1; size <= 4; size++ {
			if got := render(t, r, RangeOptions{Format: RangeJSON}, size); got != string(text)+"\n" {
				t.Errorf("JSON in pieces of %d:\n%s, want\n%s", size, got, text)
			}
			if got := render(t, r, RangeOptions{Format: RangeProtobuf}, size); got != string(message) {
				t.Errorf("protobuf in pieces of %d:\n%q, want\n%q", size, got, message)
			}
		}
	}
}

func TestRangeWriterText(t *testing.T) {
	r := &pb.RangeResponse{
		Header: &pb.ResponseHeader{ClusterId: 255, MemberId: 16, Revision: 9, RaftTerm: 2},
		Kvs:    []*mvccpb.KeyValue{{Key: []byte("k\x01"), Value: []byte("v"), CreateRevision: 2, ModRevision: 3, Version: 4, Lease: 10}},
		Count:  1,
	}
	for name, tc := range map[string]struct {
		opts RangeOptions
		want string
	}{
		"simple":     {RangeOptions{Format: RangeSimple}, "k\x01\nv\n"},
		"simple hex": {RangeOptions{Format: RangeSimple, Hex: true}, "\\x6b\\x01\n\\x76\n"},
		"values":     {RangeOptions{Format: RangeSimple, ValuesOnly: true}, "v\n"},
		"fields": {RangeOptions{Format: RangeFields}, `"ClusterID" : 255
"MemberID" : 16
"Revision" : 9
"RaftTerm" : 2
"Key" : "k\x01"
"CreateRevision" : 2
"ModRevision" : 3
"Version" : 4
"Value" : "v"
"Lease" : 10
"More" : false
"Count" : 1
`},
		"fields hex": {RangeOptions{Format: RangeFields, Hex: true}, `"ClusterID" : ff
"MemberID" : 10
"Revision" : 9
"RaftTerm" : 2
"Key" : "k\x01"
"CreateRevision" : 2
"ModRevision" : 3
"Version" : 4
"Value" : "v"
"Lease" : 000000000000000a
"More" : false
"Count" : 1
`},
	} {
		if got := render(t, r, tc.opts, 1); got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestRangeWriterReportsWriteErrors(t *testing.T) {
	w := NewRangeWriter(brokenWriter{}, RangeOptions{Format: RangeSimple})
	if err := w.Keys(sampleRange().GetKvs()); err == nil {
		t.Error("the error of the writer below was lost")
	}
}

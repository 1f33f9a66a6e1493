package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// FailureSchema names the form of Failure.
const FailureSchema = "etcdops.backup_failed/v1"

// Failure is the document that a webhook is told.
type Failure struct {
	Schema string    `json:"schema"`
	Time   time.Time `json:"time"`
	Code   string    `json:"code"` // ETO-..., empty for none
	Error  string    `json:"error"`
	Newest time.Time `json:"newest"` // when the newest good backup was taken
}

// webhookLimit is how long a webhook may take to answer.
const webhookLimit = 10 * time.Second

// post tells a webhook. The URL may hold a secret: errors do not name it.
func post(ctx context.Context, url string, doc Failure) error {
	ctx, cancel := context.WithTimeout(ctx, webhookLimit)
	defer cancel()
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return errors.New("no answer to the POST")
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}

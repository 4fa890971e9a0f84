// Print related items as they change: go run ./consume [HOST:PORT]
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type list struct {
	Related []struct {
		Item     string `json:"item_id"`
		Together int    `json:"together"`
	} `json:"related"`
}

func main() {
	servers := "localhost:9092"
	if len(os.Args) > 1 {
		servers = os.Args[1]
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(servers),
		kgo.ConsumerGroup("my-shop-go"),
		kgo.ConsumeTopics("related-items"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	soon, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.Ping(soon); err != nil {
		log.Fatalf("no Kafka answers at %s: %v", servers, err)
	}
	for {
		fetches := client.PollFetches(context.Background())
		if errs := fetches.Errors(); len(errs) > 0 {
			log.Fatal(errs[0].Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if record.Value == nil {
				fmt.Println(string(record.Key), "has no list any more")
				return
			}
			var of list
			if err := json.Unmarshal(record.Value, &of); err != nil {
				log.Fatal(err)
			}
			fmt.Println(string(record.Key), of.Related)
		})
	}
}

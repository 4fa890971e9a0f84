// Publish purchases: go run ./publish [HOST:PORT]
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type event struct {
	Customer string `json:"customer_id"`
	Item     string `json:"item_id"`
	Time     string `json:"timestamp"`
}

func main() {
	servers := "localhost:9092"
	if len(os.Args) > 1 {
		servers = os.Args[1]
	}
	// franz-go chooses the partition of a key as Kafka's Java client does
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.RecordDeliveryTimeout(30*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	soon, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.Ping(soon); err != nil {
		log.Fatalf("no Kafka answers at %s: %v", servers, err)
	}
	for _, bought := range [][2]string{{"ann", "tea"}, {"ann", "milk"}, {"bob", "tea"}, {"bob", "milk"}, {"eve", "tea"}} {
		value, err := json.Marshal(event{bought[0], bought[1], "2026-01-31T12:00:00Z"})
		if err != nil {
			log.Fatal(err)
		}
		record := &kgo.Record{Topic: "purchases", Key: []byte(bought[0]), Value: value}
		if err := client.ProduceSync(context.Background(), record).FirstErr(); err != nil {
			log.Fatal(err)
		}
	}
}

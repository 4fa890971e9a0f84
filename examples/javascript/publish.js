// Publish purchases: npm install && node publish.js [HOST:PORT]
import { Producer, stringSerializers } from '@platformatic/kafka'

const bought = [['ann', 'tea'], ['ann', 'milk'], ['bob', 'tea'], ['bob', 'milk'], ['eve', 'tea']]
// this client chooses the partition of a key as Kafka's Java client does
const producer = new Producer({
  clientId: 'my-shop',
  bootstrapBrokers: [process.argv[2] ?? 'localhost:9092'],
  serializers: stringSerializers
})

await producer.send({
  messages: bought.map(([customer, item]) => ({
    topic: 'purchases',
    key: customer,
    value: JSON.stringify({ customer_id: customer, item_id: item, timestamp: '2026-01-31T12:00:00Z' })
  }))
})
await producer.close()
